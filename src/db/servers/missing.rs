//! Servers that ought to be on the panel and were not found there.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    QueryFilter, QuerySelect,
};
use uuid::Uuid;

use super::change;
use crate::{
    db::{Error, Tx, entity::servers},
    domain::OrderId,
};

/// Whose servers were on the panel at that time, as far as we know, and were not written to since;
/// without those that are missing already.
pub async fn present(
    connection: &impl ConnectionTrait,
    at_us: i64,
) -> Result<BTreeSet<OrderId>, Error> {
    let unwritten = Condition::any()
        .add(servers::Column::PanelWriteUs.is_null())
        .add(servers::Column::PanelWriteUs.lte(at_us));
    let ids: Vec<Uuid> = servers::Entity::find()
        .select_only()
        .column(servers::Column::OrderId)
        .filter(servers::Column::PterodactylServerId.is_not_null())
        .filter(servers::Column::DeletedUs.is_null())
        .filter(servers::Column::MissingUs.is_null())
        .filter(unwritten)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(ids.into_iter().map(OrderId).collect())
}

/// Notes that it is missing.
pub async fn set(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    store(tx, id, Some(now_us)).await
}

/// Has it looked for anew, as if it had been there.
pub async fn clear(tx: &Tx, id: OrderId) -> Result<(), Error> {
    store(tx, id, None).await
}

async fn store(tx: &Tx, id: OrderId, missing_us: Option<i64>) -> Result<(), Error> {
    let change = servers::ActiveModel {
        missing_us: Set(missing_us),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}
