//! The runs of a server's install script: which are wanted, which were sent, which are under way.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait,
    JoinType, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select, sea_query::Expr,
};

use super::change;
use crate::{
    db::{
        Error, Tx,
        entity::{orders, servers},
    },
    domain::{OrderId, order::ErrorReason},
};

/// Notes that the install script was started again: nobody waits for that any more.
pub async fn set_reinstalled(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    servers::Entity::update_many()
        .col_expr(
            servers::Column::Reinstalls,
            Expr::col(servers::Column::Reinstalls).add(1),
        )
        .col_expr(servers::Column::InstallSinceUs, Expr::value(now_us))
        .col_expr(servers::Column::ObservedStatus, Expr::value("installing"))
        .col_expr(servers::Column::PanelWriteUs, Expr::value(now_us))
        .filter(servers::Column::OrderId.eq(id.0))
        .exec(&**tx)
        .await?;
    clear_reinstall(tx, id).await
}

/// Lets the install be tried once more, after an operator asked for it.
pub async fn reset_reinstalls(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let change = servers::ActiveModel {
        reinstalls: Set(0),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Has an install that failed, or took too long, looked at once more: it may have ended well since.
pub async fn look_again(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    let change = servers::ActiveModel {
        observed_status: Set(Some("installing".to_owned())),
        install_since_us: Set(Some(now_us)),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes that the install script is to run again on a server that was used; the first time stays.
pub async fn set_reinstall(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    servers::Entity::update_many()
        .col_expr(servers::Column::ReinstallUs, Expr::value(now_us))
        .filter(servers::Column::OrderId.eq(id.0))
        .filter(servers::Column::ReinstallUs.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that the panel is about to be told so, and when it had last changed the server by its
/// own clock (Unix seconds); nothing where nobody wants it any more.
pub async fn set_reinstall_sent(
    tx: &Tx,
    id: OrderId,
    over: Option<i64>,
    now_us: i64,
) -> Result<(), Error> {
    servers::Entity::update_many()
        .col_expr(servers::Column::ReinstallSentUs, Expr::value(now_us))
        .col_expr(servers::Column::ReinstallOver, Expr::value(over))
        .filter(servers::Column::OrderId.eq(id.0))
        .filter(servers::Column::ReinstallUs.is_not_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that the panel surely did not do it: it is told again.
pub async fn clear_reinstall_sent(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let change = servers::ActiveModel {
        reinstall_sent_us: Set(None),
        reinstall_over: Set(None),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes that nothing of it is left to do.
pub async fn clear_reinstall(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let change = servers::ActiveModel {
        reinstall_us: Set(None),
        reinstall_sent_us: Set(None),
        reinstall_over: Set(None),
        ..change(id)
    };
    change.update(&**tx).await?;
    Ok(())
}

/// How many new servers wait for their install to end.
pub async fn installing(connection: &impl ConnectionTrait) -> Result<u64, Error> {
    let new = watched().filter(servers::Column::FirstRunningUs.is_null());
    Ok(new.count(connection).await?)
}

/// Used servers whose script runs again, by the panel's ids: the one that was begun first is
/// the first, and at most so many. They are far down in the panel's list.
pub async fn reinstalling(
    connection: &impl ConnectionTrait,
    most: u64,
) -> Result<Vec<(i64, OrderId)>, Error> {
    let rows: Vec<(Option<i64>, uuid::Uuid)> = watched()
        .filter(servers::Column::FirstRunningUs.is_not_null())
        .filter(servers::Column::ObservedStatus.eq("installing"))
        .order_by_asc(servers::Column::InstallSinceUs)
        .limit(most)
        .select_only()
        .columns([
            servers::Column::PterodactylServerId,
            servers::Column::OrderId,
        ])
        .into_tuple()
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(panel_id, id)| Some((panel_id?, OrderId(id))))
        .collect())
}

/// Servers on the panel whose install is waited for; those of parked orders are not.
fn watched() -> Select<servers::Entity> {
    servers::Entity::find()
        .join(
            JoinType::InnerJoin,
            servers::Entity::belongs_to(orders::Entity)
                .from(servers::Column::OrderId)
                .to(orders::Column::Id)
                .into(),
        )
        .filter(orders::Column::ErrorReason.is_in(["", ErrorReason::PlanMismatch.as_str()]))
        .filter(servers::Column::PterodactylServerId.is_not_null())
        .filter(servers::Column::DeletedUs.is_null())
}
