//! Queries of `request_keys`.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
};
use uuid::Uuid;

use super::{Error, Tx, entity::request_keys};

/// A key as it is stored: what a call made, and until when that is remembered.
pub use super::entity::request_keys::Model as Key;

/// A key that has not expired.
pub async fn find(
    connection: &impl ConnectionTrait,
    caller: &str,
    method: &str,
    request_id: Uuid,
    now_us: i64,
) -> Result<Option<Key>, Error> {
    let id = (caller.to_owned(), method.to_owned(), request_id);
    let found = request_keys::Entity::find_by_id(id).one(connection).await?;
    Ok(found.filter(|key| key.expires_us > now_us))
}

/// Stores a key in place of an expired one.
pub async fn insert(tx: &Tx, key: Key, now_us: i64) -> Result<(), Error> {
    request_keys::Entity::delete_many()
        .filter(request_keys::Column::Caller.eq(&key.caller))
        .filter(request_keys::Column::Method.eq(&key.method))
        .filter(request_keys::Column::RequestId.eq(key.request_id))
        .filter(request_keys::Column::ExpiresUs.lte(now_us))
        .exec(&**tx)
        .await?;
    key.into_active_model().reset_all().insert(&**tx).await?;
    Ok(())
}

/// Removes expired keys, at most `limit` of them.
pub async fn prune(
    connection: &impl ConnectionTrait,
    now_us: i64,
    limit: u64,
) -> Result<u64, Error> {
    use sea_orm::{QuerySelect, QueryTrait};
    // A sub-select bounds the delete on both engines.
    let expired = request_keys::Entity::find()
        .select_only()
        .column(request_keys::Column::RequestId)
        .filter(request_keys::Column::ExpiresUs.lte(now_us))
        .limit(limit)
        .into_query();
    let deleted = request_keys::Entity::delete_many()
        .filter(request_keys::Column::ExpiresUs.lte(now_us))
        .filter(request_keys::Column::RequestId.in_subquery(expired))
        .exec(connection)
        .await?;
    Ok(deleted.rows_affected)
}
