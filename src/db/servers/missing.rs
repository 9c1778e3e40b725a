//! Servers that ought to be on the panel and were not found there.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, JoinType,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::change;
use crate::{
    db::{
        Error, Tx,
        entity::{orders, servers},
    },
    domain::{OrderId, order::Status},
};

/// A server that ought to be on the panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whose it is.
    pub order_id: OrderId,
    /// The panel's uuid of it.
    pub uuid: String,
    /// Whether it was not found there before.
    pub missing: bool,
}

/// Every server of an order that goes on, by order. What is over is deleted, which finds out by
/// itself that it is gone.
pub async fn expected(connection: &impl ConnectionTrait) -> Result<Vec<Expected>, Error> {
    let rows: Vec<(Uuid, Option<String>, Option<i64>)> = servers::Entity::find()
        .join(
            JoinType::InnerJoin,
            servers::Entity::belongs_to(orders::Entity)
                .from(servers::Column::OrderId)
                .to(orders::Column::Id)
                .into(),
        )
        .select_only()
        .columns([
            servers::Column::OrderId,
            servers::Column::Uuid,
            servers::Column::MissingUs,
        ])
        .filter(orders::Column::Status.ne(Status::Canceled.as_str()))
        .filter(servers::Column::PterodactylServerId.is_not_null())
        .filter(servers::Column::DeletedUs.is_null())
        .order_by_asc(servers::Column::OrderId)
        .into_tuple()
        .all(connection)
        .await?;
    let expected = |(id, uuid, missing_us): (Uuid, Option<String>, Option<i64>)| Expected {
        order_id: OrderId(id),
        uuid: uuid.unwrap_or_default(),
        missing: missing_us.is_some(),
    };
    Ok(rows.into_iter().map(expected).collect())
}

/// A statement has only so many parameters.
const AT_ONCE: usize = 500;

/// Those of these whose server was deleted before that time.
pub async fn deleted_among(
    connection: &impl ConnectionTrait,
    ids: &[OrderId],
    before_us: i64,
) -> Result<Vec<OrderId>, Error> {
    let mut deleted = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let found: Vec<Uuid> = servers::Entity::find()
            .select_only()
            .column(servers::Column::OrderId)
            .filter(servers::Column::OrderId.is_in(ids.iter().map(|id| id.0)))
            .filter(servers::Column::DeletedUs.lt(before_us))
            .order_by_asc(servers::Column::OrderId)
            .into_tuple()
            .all(connection)
            .await?;
        deleted.extend(found.into_iter().map(OrderId));
    }
    Ok(deleted)
}

/// How many were found missing since then, and still are.
pub async fn count(connection: &impl ConnectionTrait, since_us: i64) -> Result<usize, Error> {
    let missing = servers::Entity::find()
        .filter(servers::Column::MissingUs.gt(since_us))
        .filter(servers::Column::DeletedUs.is_null());
    Ok(usize::try_from(missing.count(connection).await?).unwrap_or(usize::MAX))
}

/// Notes that it is missing: since when it was first seen to be.
pub async fn set(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    servers::Entity::update_many()
        .col_expr(servers::Column::MissingUs, Expr::value(now_us))
        .filter(servers::Column::OrderId.eq(id.0))
        .filter(servers::Column::MissingUs.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that it is there again.
pub async fn clear(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let change = servers::ActiveModel {
        missing_us: Set(None),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}
