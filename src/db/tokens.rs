//! Queries of `api_tokens`.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, sea_query::Expr,
};
use uuid::Uuid;

use super::{Db, Error, Tx, entity::api_tokens};

/// A token as it is stored: its hash, never itself.
pub use super::entity::api_tokens::Model as Token;

/// The token with this hash, in whatever state.
pub async fn find_by_hash(
    connection: &impl ConnectionTrait,
    sha256: &str,
) -> Result<Option<Token>, Error> {
    let query = api_tokens::Entity::find().filter(api_tokens::Column::Sha256.eq(sha256));
    Ok(query.one(connection).await?)
}

/// All tokens, oldest first.
pub async fn list(connection: &impl ConnectionTrait) -> Result<Vec<Token>, Error> {
    let query = api_tokens::Entity::find()
        .order_by_asc(api_tokens::Column::CreatedUs)
        .order_by_asc(api_tokens::Column::Name);
    Ok(query.all(connection).await?)
}

/// Stores a token. A taken name is a conflict.
pub async fn insert(tx: &Tx, token: Token) -> Result<(), Error> {
    token.into_active_model().reset_all().insert(&**tx).await?;
    Ok(())
}

/// Ends the token of this name; `false` where there is none. The first time counts.
pub async fn mark_revoked(tx: &Tx, name: &str, now_us: i64) -> Result<bool, Error> {
    let known = api_tokens::Entity::find()
        .filter(api_tokens::Column::Name.eq(name))
        .one(&**tx)
        .await?;
    let Some(token) = known else {
        return Ok(false);
    };
    api_tokens::Entity::update_many()
        .col_expr(api_tokens::Column::RevokedUs, Expr::value(now_us))
        .filter(api_tokens::Column::Id.eq(token.id))
        .filter(api_tokens::Column::RevokedUs.is_null())
        .exec(&**tx)
        .await?;
    Ok(true)
}

/// Notes a use, unless one was noted at or after `since_us`.
pub async fn mark_used(db: &Db, id: Uuid, now_us: i64, since_us: i64) -> Result<(), Error> {
    let long_ago = Condition::any()
        .add(api_tokens::Column::LastUsedUs.is_null())
        .add(api_tokens::Column::LastUsedUs.lt(since_us));
    api_tokens::Entity::update_many()
        .col_expr(api_tokens::Column::LastUsedUs, Expr::value(now_us))
        .filter(api_tokens::Column::Id.eq(id))
        .filter(long_ago)
        .exec(&db.write)
        .await?;
    Ok(())
}
