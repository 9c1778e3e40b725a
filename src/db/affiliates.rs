//! Queries of `affiliates`: who sends customers, and the counters, which are sums of what
//! `affiliate_referrals` and `affiliate_commissions` hold.
//!
//! An affiliate's row is locked last, after profile and order, and before what it sums changes.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel,
    QueryFilter, QuerySelect, TryInsertResult,
    sea_query::{Expr, Func, LockType, OnConflict},
};

use super::{Db, Error, Tx, entity::affiliates};
use crate::domain::{
    UserId,
    affiliate::{Affiliate, ERASED},
};

pub mod commissions;
pub mod referrals;

pub use commissions::reverse;

/// In one statement of its own: a sum is only of what is committed when it begins.
const CREDITS: &str = "(SELECT CAST(COALESCE(SUM(amount_minor), 0) AS bigint)
    FROM affiliate_commissions WHERE affiliate_commissions.user_id = affiliates.user_id
    AND affiliate_commissions.currency = affiliates.currency
    AND affiliate_commissions.state = 'earned')";
const SIGNUPS: &str = "(SELECT CAST(COUNT(*) AS integer) FROM affiliate_referrals
    WHERE affiliate_referrals.user_id = affiliates.user_id)";

/// Stores a new affiliate, unless the code, in whatever case, or the user is taken: tells whether
/// it did.
pub async fn insert(tx: &Tx, user_id: UserId, code: &str) -> Result<bool, Error> {
    let row = affiliates::Model {
        user_id: user_id.0,
        code: code.to_owned(),
        clicks: 0,
        signups: 0,
        credits_cents: 0,
        currency: String::new(),
    };
    // Of whichever key: the code has one as it is written and one in lower case.
    let inserted = affiliates::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .try_insert()
        .exec_without_returning(&**tx)
        .await?;
    Ok(matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0))
}

/// A user's.
pub async fn find(
    connection: &impl ConnectionTrait,
    user_id: UserId,
) -> Result<Option<Affiliate>, Error> {
    let row = affiliates::Entity::find_by_id(user_id.0)
        .one(connection)
        .await?;
    Ok(row.map(affiliate))
}

/// Gives one whose code was erased another, and tells whether nobody else has it.
pub async fn set_code(tx: &Tx, user_id: UserId, code: &str) -> Result<bool, Error> {
    if find_by_code(&**tx, code).await?.is_some() {
        return Ok(false);
    }
    affiliates::Entity::update_many()
        .col_expr(affiliates::Column::Code, Expr::value(code))
        .filter(affiliates::Column::UserId.eq(user_id.0))
        .exec(&**tx)
        .await?;
    Ok(true)
}

/// The one with this code, in whatever case it is written.
pub async fn find_by_code(
    connection: &impl ConnectionTrait,
    code: &str,
) -> Result<Option<Affiliate>, Error> {
    let row = affiliates::Entity::find()
        .filter(is_code(code))
        .one(connection)
        .await?;
    Ok(row.map(affiliate))
}

/// Replaces a code that a user chose, and that may say who that is, by the user's id behind a sign
/// that no code has: nobody can name it any more. What it earned is kept for accounting.
pub async fn forget_code(tx: &Tx, user_id: UserId) -> Result<(), Error> {
    affiliates::Entity::update_many()
        .col_expr(
            affiliates::Column::Code,
            Expr::value(format!("{ERASED}{}", user_id.0.simple())),
        )
        .filter(affiliates::Column::UserId.eq(user_id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Counts a visit. A counter that is full stays so.
pub async fn click(db: &Db, code: &str) -> Result<Option<Affiliate>, Error> {
    let counted = affiliates::Entity::update_many()
        .col_expr(
            affiliates::Column::Clicks,
            Expr::col(affiliates::Column::Clicks).add(1),
        )
        .filter(is_code(code))
        .filter(affiliates::Column::Clicks.lt(i32::MAX))
        .exec_with_returning(db.write())
        .await?;
    match counted.into_iter().next() {
        Some(row) => Ok(Some(affiliate(row))),
        None => find_by_code(db.read(), code).await,
    }
}

fn is_code(code: &str) -> Expr {
    Func::lower(Expr::col(affiliates::Column::Code)).eq(code.to_ascii_lowercase())
}

/// Locks an affiliate's row. Rows that refer to it may be written meanwhile, else two who have
/// written one would wait for each other.
async fn lock(tx: &Tx, user_id: UserId) -> Result<affiliates::Model, Error> {
    let row = affiliates::Entity::find_by_id(user_id.0)
        .lock(LockType::NoKeyUpdate)
        .one(&**tx)
        .await?;
    row.ok_or_else(|| Error::Corrupt(format!("affiliate {user_id} does not exist")))
}

/// Brings the counters of a locked affiliate up to what is stored.
async fn sum(tx: &Tx, user_id: UserId) -> Result<(), Error> {
    affiliates::Entity::update_many()
        .col_expr(affiliates::Column::Signups, Expr::cust(SIGNUPS))
        .col_expr(affiliates::Column::CreditsCents, Expr::cust(CREDITS))
        .filter(affiliates::Column::UserId.eq(user_id.0))
        .exec(&**tx)
        .await?;
    Ok(())
}

fn affiliate(row: affiliates::Model) -> Affiliate {
    Affiliate {
        user_id: UserId(row.user_id),
        code: row.code,
        clicks: row.clicks,
        signups: row.signups,
        credits_minor: row.credits_cents,
    }
}
