//! Queries of `eggs`: the cache of the panel's eggs.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, sea_query::OnConflict,
};

use super::{
    Error, Tx,
    convert::{json, to_json},
    entity::eggs,
};
use crate::domain::egg::Egg;

/// An egg as last read.
pub async fn find(connection: &impl ConnectionTrait, egg_id: i64) -> Result<Option<Egg>, Error> {
    let row = eggs::Entity::find_by_id(egg_id).one(connection).await?;
    row.map(egg).transpose()
}

/// All eggs as last read, by their id on the panel.
pub async fn all(connection: &impl ConnectionTrait) -> Result<BTreeMap<i64, Egg>, Error> {
    let rows = eggs::Entity::find().all(connection).await?;
    rows.into_iter()
        .map(|row| Ok((row.ptero_egg_id, egg(row)?)))
        .collect()
}

fn egg(row: eggs::Model) -> Result<Egg, Error> {
    Ok(Egg {
        egg_id: row.ptero_egg_id,
        nest_id: row.ptero_nest_id,
        found: row.found,
        docker_image: row.docker_image,
        startup: row.startup,
        variables: json(row.variables, "eggs.variables")?,
        read_us: row.read_us,
    })
}

/// Stores what was read, in place of what was read before.
pub async fn save(tx: &Tx, egg: &Egg) -> Result<(), Error> {
    let row = eggs::Model {
        ptero_egg_id: egg.egg_id,
        ptero_nest_id: egg.nest_id,
        found: egg.found,
        docker_image: egg.docker_image.clone(),
        startup: egg.startup.clone(),
        variables: to_json(&egg.variables)?,
        read_us: egg.read_us,
    };
    let conflict = OnConflict::column(eggs::Column::PteroEggId)
        .update_columns([
            eggs::Column::PteroNestId,
            eggs::Column::Found,
            eggs::Column::DockerImage,
            eggs::Column::Startup,
            eggs::Column::Variables,
            eggs::Column::ReadUs,
        ])
        .to_owned();
    eggs::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(conflict)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}
