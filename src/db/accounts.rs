//! Queries of `external_accounts`.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{Expr, OnConflict},
};

use super::{
    Error, Tx,
    convert::{micros, timestamp, word},
    entity::external_accounts,
};
use crate::domain::{
    UserId,
    profile::{Account, Origin},
};

/// The panel account of a user.
pub async fn find(
    connection: &impl ConnectionTrait,
    user_id: UserId,
) -> Result<Option<Account>, Error> {
    let row = external_accounts::Entity::find_by_id(user_id.0)
        .one(connection)
        .await?;
    row.map(account).transpose()
}

/// Stores a user's panel account, unless one is stored; tells which it is now. An
/// account that another user has is a conflict.
pub async fn insert(tx: &Tx, new: &Account) -> Result<Account, Error> {
    let row = external_accounts::Model {
        user_id: new.user_id.0,
        pterodactyl_user_id: new.panel_id,
        panel_username: new.username.clone(),
        origin: new.origin.as_str().to_owned(),
        last_synced_at: timestamp(new.synced_us),
    };
    // Of whichever key: where two orders of a user store the same account at once, PostgreSQL
    // may notice the panel's id before the user's.
    external_accounts::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .try_insert()
        .exec_without_returning(&**tx)
        .await?;
    let stored = find(&**tx, new.user_id).await?;
    stored.ok_or_else(|| Error::Conflict("external_accounts.pterodactyl_user_id".to_owned()))
}

/// Notes that the account was compared with the panel.
pub async fn set_synced(tx: &Tx, user_id: UserId, now_us: i64) -> Result<(), Error> {
    external_accounts::Entity::update_many()
        .col_expr(
            external_accounts::Column::LastSyncedAt,
            Expr::value(timestamp(now_us)),
        )
        .filter(external_accounts::Column::UserId.eq(user_id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

fn account(row: external_accounts::Model) -> Result<Account, Error> {
    Ok(Account {
        user_id: UserId(row.user_id),
        panel_id: row.pterodactyl_user_id,
        username: row.panel_username,
        origin: word(Origin::parse, &row.origin, "external_accounts.origin")?,
        synced_us: micros(row.last_synced_at),
    })
}
