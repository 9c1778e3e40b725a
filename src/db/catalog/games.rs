//! Queries of `games`.

use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set,
};

use crate::{
    db::{
        Error, Tx,
        convert::{json, micros, timestamp, to_json},
        entity::games,
    },
    domain::{Listed, catalog::Game},
};

/// One game.
pub async fn find(connection: &impl ConnectionTrait, id: &str) -> Result<Option<Game>, Error> {
    games::Entity::find_by_id(id)
        .one(connection)
        .await?
        .map(game)
        .transpose()
}

/// Games by id, after `after`.
pub async fn list(
    connection: &impl ConnectionTrait,
    include_inactive: bool,
    after: Option<&str>,
    limit: u64,
) -> Result<Listed<Game>, Error> {
    let mut query = games::Entity::find().order_by_asc(games::Column::Id);
    if !include_inactive {
        query = query.filter(games::Column::IsActive.eq(true));
    }
    if let Some(after) = after {
        query = query.filter(games::Column::Id.gt(after));
    }
    let rows = query.limit(limit.saturating_add(1)).all(connection).await?;
    let page = Listed::cut(rows, limit);
    let rows = page.rows.into_iter().map(game).collect::<Result<_, _>>()?;
    Ok(Listed {
        rows,
        more: page.more,
    })
}

/// Every game, by id.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Game>, Error> {
    let rows = games::Entity::find()
        .order_by_asc(games::Column::Id)
        .all(connection)
        .await?;
    rows.into_iter().map(game).collect()
}

/// Stores a new game.
pub async fn insert(tx: &Tx, game: &Game) -> Result<(), Error> {
    let mut row = active(game)?;
    row.created_at = Set(timestamp(game.created_us));
    games::Entity::insert(row)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// Replaces a game.
pub async fn update(tx: &Tx, game: &Game) -> Result<(), Error> {
    games::Entity::update_many()
        .set(active(game)?)
        .filter(games::Column::Id.eq(&game.id))
        .exec(&**tx)
        .await?;
    Ok(())
}

fn game(row: games::Model) -> Result<Game, Error> {
    Ok(Game {
        port_variables: json(row.port_variables, "games.port_variables")?,
        environment: json(row.environment, "games.environment")?,
        secret_variables: json(row.secret_variables, "games.secret_variables")?,
        id: row.id,
        display_name: row.display_name,
        ptero_nest_id: row.ptero_nest_id,
        ptero_egg_id: row.ptero_egg_id,
        ports: row.ports,
        min_ram_gb: row.min_ram_gb,
        min_ssd_gb: row.min_ssd_gb,
        swap_mb: row.swap_mb,
        oom_disabled: row.oom_disabled,
        is_active: row.is_active,
        etag: row.etag,
        created_us: micros(row.created_at),
        updated_us: micros(row.updated_at),
    })
}

/// Everything but the time of creation, which is written once.
fn active(game: &Game) -> Result<games::ActiveModel, Error> {
    Ok(games::ActiveModel {
        id: Set(game.id.clone()),
        display_name: Set(game.display_name.clone()),
        ptero_nest_id: Set(game.ptero_nest_id),
        ptero_egg_id: Set(game.ptero_egg_id),
        ports: Set(game.ports),
        port_variables: Set(to_json(&game.port_variables)?),
        environment: Set(to_json(&game.environment)?),
        secret_variables: Set(to_json(&game.secret_variables)?),
        min_ram_gb: Set(game.min_ram_gb),
        min_ssd_gb: Set(game.min_ssd_gb),
        swap_mb: Set(game.swap_mb),
        oom_disabled: Set(game.oom_disabled),
        is_active: Set(game.is_active),
        etag: Set(game.etag.clone()),
        created_at: NotSet,
        updated_at: Set(timestamp(game.updated_us)),
    })
}
