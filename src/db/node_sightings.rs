//! What the panel says of our nodes: written by the mirror, never by operators.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
};

use super::{Db, Error, Tx, convert::timestamp, entity::ptero_nodes};

/// A node as the panel lists it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// Tells a rebuilt panel from the one whose ids we know.
    pub panel_uuid: &'a str,
    /// Host name.
    pub fqdn: &'a str,
    /// The panel's own maintenance mode.
    pub maintenance: bool,
}

/// Stores what the panel says of a node; `true` where it is not the node we know.
pub async fn save(db: &Db, node_id: i32, seen: &Sighting<'_>, now_us: i64) -> Result<bool, Error> {
    let row = ptero_nodes::Entity::find_by_id(node_id)
        .one(db.read())
        .await?;
    let row = row.ok_or_else(|| Error::Corrupt(format!("node {node_id} does not exist")))?;
    let changed = row
        .panel_uuid
        .as_deref()
        .is_some_and(|known| known != seen.panel_uuid);
    let mut change = ptero_nodes::ActiveModel {
        id: Unchanged(node_id),
        panel_changed: Set(changed),
        panel_maintenance: Set(seen.maintenance),
        last_seen_at: Set(Some(timestamp(now_us))),
        ..Default::default()
    };
    if row.panel_uuid.is_none() {
        change.panel_uuid = Set(Some(seen.panel_uuid.to_owned()));
    }
    if row.fqdn.is_empty() {
        change.fqdn = Set(seen.fqdn.to_owned());
    }
    change.update(db.write()).await?;
    Ok(changed)
}

/// Whether a node of the panel is not the one we know: then the panel was rebuilt.
pub async fn panel_changed(connection: &impl ConnectionTrait) -> Result<bool, Error> {
    let changed = ptero_nodes::Entity::find()
        .filter(ptero_nodes::Column::PanelChanged.eq(true))
        .one(connection)
        .await?;
    Ok(changed.is_some())
}

/// When the node's ports were last read to the end.
pub async fn ports_read_us(
    connection: &impl ConnectionTrait,
    node_id: i32,
) -> Result<Option<i64>, Error> {
    let row = ptero_nodes::Entity::find_by_id(node_id)
        .one(connection)
        .await?;
    Ok(row.and_then(|row| row.ports_read_us))
}

/// Notes that the node's ports were read to the end.
pub async fn set_ports_read(tx: &Tx, node_id: i32, now_us: i64) -> Result<(), Error> {
    let change = ptero_nodes::ActiveModel {
        id: Unchanged(node_id),
        ports_read_us: Set(Some(now_us)),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}
