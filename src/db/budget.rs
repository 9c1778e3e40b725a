//! Queries of `panel_budget`: the one row of the panel's rate budget, shared by all
//! replicas.

use sea_orm::{EntityTrait, ExprTrait, QuerySelect, sea_query::Expr};

use super::{Db, Error, Tx, entity::panel_budget};

/// The panel's window: fixed, from its first hit.
pub const WINDOW_US: i64 = 60 * crate::domain::SECOND_US;

/// What a request for budget got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// So many requests may be sent before the window ends.
    Requests {
        /// How many.
        count: i32,
        /// Until when they may be used.
        until_us: i64,
    },
    /// None before this time.
    NotBefore(i64),
}

/// Leases up to `count` requests out of the window, leaving `reserve` untouched.
pub async fn lease(db: &Db, count: i32, reserve: i32) -> Result<Grant, Error> {
    db.tx(|tx| async move {
        let now_us = db.now_in(&tx).await?;
        let row = row(&tx).await?;
        if row.blocked_until_us > now_us {
            return Ok(Grant::NotBefore(row.blocked_until_us));
        }
        // A window ends a whole period after it was opened here, and it is opened when a
        // request is granted: the panel's own began later only by the request's way there,
        // so the next one is not opened before an answer could have come back.
        let fresh = row.window_until_us <= now_us;
        let used = if fresh { 0 } else { row.used };
        let until_us = if fresh {
            now_us + WINDOW_US
        } else {
            row.window_until_us
        };
        let granted = Ord::min(count, row.window_limit - reserve - used);
        if granted <= 0 {
            return Ok(Grant::NotBefore(until_us));
        }
        panel_budget::Entity::update_many()
            .col_expr(panel_budget::Column::Used, Expr::value(used + granted))
            .col_expr(panel_budget::Column::WindowUntilUs, Expr::value(until_us))
            .exec(&*tx)
            .await?;
        Ok(Grant::Requests {
            count: granted,
            until_us,
        })
    })
    .await
}

/// Learns the panel's own limit. Written only where it differs.
pub async fn set_limit(db: &Db, limit: i32) -> Result<(), Error> {
    use sea_orm::{ColumnTrait, QueryFilter};
    panel_budget::Entity::update_many()
        .col_expr(panel_budget::Column::WindowLimit, Expr::value(limit))
        .filter(panel_budget::Column::WindowLimit.ne(limit))
        .exec(db.write())
        .await?;
    Ok(())
}

/// Moves the end of the window: the panel's began no later than the answer to its
/// first request.
pub async fn extend_window(db: &Db, until_us: i64) -> Result<(), Error> {
    use sea_orm::{ColumnTrait, QueryFilter};
    panel_budget::Entity::update_many()
        .col_expr(panel_budget::Column::WindowUntilUs, Expr::value(until_us))
        .filter(panel_budget::Column::WindowUntilUs.lt(until_us))
        .exec(db.write())
        .await?;
    Ok(())
}

/// Stops all replicas until the panel's window ends.
pub async fn block(db: &Db, until_us: i64) -> Result<(), Error> {
    use sea_orm::{ColumnTrait, QueryFilter};
    panel_budget::Entity::update_many()
        .col_expr(panel_budget::Column::BlockedUntilUs, Expr::value(until_us))
        .filter(Expr::col(panel_budget::Column::BlockedUntilUs).lt(until_us))
        .filter(panel_budget::Column::Id.eq(1))
        .exec(db.write())
        .await?;
    Ok(())
}

async fn row(tx: &Tx) -> Result<panel_budget::Model, Error> {
    let row = panel_budget::Entity::find_by_id(1)
        .lock_exclusive()
        .one(&**tx)
        .await?;
    row.ok_or_else(|| Error::Corrupt("panel_budget has no row".to_owned()))
}
