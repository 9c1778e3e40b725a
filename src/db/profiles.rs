//! Queries of `profiles`: the row that is locked before anything of a user changes.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{
    Error, Tx,
    billing::Form,
    convert::{json, micros, timestamp, to_json, word},
    entity::profiles,
};
use crate::domain::{
    UserId,
    profile::{Changes, Problem, Profile},
};

pub mod follow;

/// What a checkout tells of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whose profile.
    pub user_id: UserId,
    /// E-mail address.
    pub email: String,
    /// Whether the identity provider has verified it.
    pub email_verified: bool,
    /// May be empty.
    pub first_name: String,
    /// May be empty.
    pub last_name: String,
}

/// Creates the profile or completes it with what is told now, and locks it until
/// the transaction ends. `customer_request` is kept only where none is stored: it
/// is sent under the key `cus:<user>`, which Stripe binds to one body. One that was deleted
/// begins anew.
pub async fn upsert_locked(
    tx: &Tx,
    id: Uuid,
    told: &Told,
    customer_request: &Form,
    now_us: i64,
) -> Result<Profile, Error> {
    let row = profiles::Model {
        id,
        user_id: told.user_id.0,
        email: told.email.clone(),
        email_verified: told.email_verified,
        first_name: told.first_name.clone(),
        last_name: told.last_name.clone(),
        stripe_customer_id: None,
        stripe_customer_request: Some(to_json(customer_request)?),
        stripe_customer_key: format!("cus:{}", told.user_id),
        stripe_customer_key_us: Some(now_us),
        created_at: timestamp(now_us),
        updated_at: timestamp(now_us),
        stripe_follow_us: None,
        stripe_problem: String::new(),
        panel_follow_us: None,
        panel_problem: String::new(),
        panel_leaving_id: None,
        deleted_us: None,
    };
    let conflict = OnConflict::column(profiles::Column::UserId)
        .update_column(profiles::Column::UserId)
        .to_owned();
    profiles::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(conflict)
        .exec_without_returning(&**tx)
        .await?;
    let row = locked_row(tx, told.user_id)
        .await?
        .ok_or_else(|| Error::Corrupt("a profile vanished under its lock".to_owned()))?;
    let known = profile(row.clone())?;
    let lacks_request = row.stripe_customer_request.is_none() && row.stripe_customer_id.is_none();
    let given = |name: &String| (!name.is_empty()).then(|| name.clone());
    let wanted = known.with(&Changes {
        email: Some(told.email.clone()),
        email_verified: Some(told.email_verified),
        first_name: given(&told.first_name),
        last_name: given(&told.last_name),
    });
    if !lacks_request && wanted == known && known.deleted_us.is_none() {
        return Ok(known);
    }
    if lacks_request {
        let change = profiles::ActiveModel {
            id: Unchanged(row.id),
            stripe_customer_request: Set(Some(to_json(customer_request)?)),
            stripe_customer_key_us: Set(Some(now_us)),
            ..Default::default()
        };
        change.update(&**tx).await?;
    }
    let follows = !wanted.is_told_as(&known);
    set_told(tx, &wanted, follows, now_us).await
}

/// Stores what a user is called now. Where others are to follow, that is noted with it, under a
/// time that was not used for it before.
pub async fn set_told(
    tx: &Tx,
    wanted: &Profile,
    follows: bool,
    now_us: i64,
) -> Result<Profile, Error> {
    let user_id = wanted.user_id;
    let mut update = profiles::Entity::update_many()
        .col_expr(profiles::Column::Email, Expr::value(wanted.email.as_str()))
        .col_expr(
            profiles::Column::EmailVerified,
            Expr::value(wanted.email_verified),
        )
        .col_expr(
            profiles::Column::FirstName,
            Expr::value(wanted.first_name.as_str()),
        )
        .col_expr(
            profiles::Column::LastName,
            Expr::value(wanted.last_name.as_str()),
        )
        .col_expr(profiles::Column::UpdatedAt, Expr::value(timestamp(now_us)))
        .col_expr(profiles::Column::DeletedUs, Expr::value(None::<i64>));
    if follows {
        let since_us = |before_us: Option<i64>| {
            let later_us = before_us.map_or(now_us, |before_us| now_us.max(before_us + 1));
            Expr::value(later_us)
        };
        update = update
            .col_expr(
                profiles::Column::StripeFollowUs,
                since_us(wanted.stripe_follow_us),
            )
            .col_expr(profiles::Column::StripeProblem, Expr::value(""))
            .col_expr(
                profiles::Column::PanelFollowUs,
                since_us(wanted.panel_follow_us),
            )
            .col_expr(profiles::Column::PanelProblem, Expr::value(""));
    }
    update
        .filter(profiles::Column::UserId.eq(user_id.0))
        .exec(&**tx)
        .await?;
    let stored = find(&**tx, user_id).await?;
    stored.ok_or_else(|| Error::Corrupt("a profile vanished under its lock".to_owned()))
}

/// Locks a user's profile until the transaction ends.
pub async fn lock(tx: &Tx, user_id: UserId) -> Result<Option<Profile>, Error> {
    locked_row(tx, user_id).await?.map(profile).transpose()
}

async fn locked_row(tx: &Tx, user_id: UserId) -> Result<Option<profiles::Model>, Error> {
    let row = profiles::Entity::find()
        .filter(profiles::Column::UserId.eq(user_id.0))
        .lock_exclusive()
        .one(&**tx)
        .await?;
    Ok(row)
}

/// A user's profile.
pub async fn find(
    connection: &impl ConnectionTrait,
    user_id: UserId,
) -> Result<Option<Profile>, Error> {
    let row = profiles::Entity::find()
        .filter(profiles::Column::UserId.eq(user_id.0))
        .one(connection)
        .await?;
    row.map(profile).transpose()
}

/// The stored request that makes a user's Stripe customer.
#[derive(Clone, Debug)]
pub struct CustomerRequest {
    /// As it was first sent, and is again.
    pub form: Form,
    /// Its idempotency key.
    pub key: String,
    /// It was not sent under that key before this.
    pub since_us: i64,
}

/// The stored request that makes the user's Stripe customer.
pub async fn customer_request(
    connection: &impl ConnectionTrait,
    user_id: UserId,
) -> Result<CustomerRequest, Error> {
    let row = profiles::Entity::find()
        .filter(profiles::Column::UserId.eq(user_id.0))
        .one(connection)
        .await?;
    let missing = || Error::Corrupt(format!("profile of {user_id} has no customer request"));
    let row = row.ok_or_else(missing)?;
    let request = row.stripe_customer_request.ok_or_else(missing)?;
    Ok(CustomerRequest {
        form: json(request, "profiles.stripe_customer_request")?,
        key: row.stripe_customer_key,
        since_us: row
            .stripe_customer_key_us
            .unwrap_or_else(|| micros(row.created_at)),
    })
}

/// Gives the user's customer request another key in place of this one, under which
/// nothing can be learned any more.
pub async fn replace_customer_key(
    tx: &Tx,
    user_id: UserId,
    key: &str,
    another: &str,
    now_us: i64,
) -> Result<(), Error> {
    profiles::Entity::update_many()
        .col_expr(profiles::Column::StripeCustomerKey, Expr::value(another))
        .col_expr(profiles::Column::StripeCustomerKeyUs, Expr::value(now_us))
        .filter(profiles::Column::UserId.eq(user_id.0))
        .filter(profiles::Column::StripeCustomerKey.eq(key))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Forgets a customer request that Stripe refused, or a customer that Stripe no longer
/// has: the next checkout makes a new one, under a key that was never used.
pub async fn forget_customer(
    tx: &Tx,
    user_id: UserId,
    customer_id: Option<&str>,
    key: &str,
) -> Result<(), Error> {
    let mut update = profiles::Entity::update_many()
        .col_expr(
            profiles::Column::StripeCustomerId,
            Expr::value(None::<String>),
        )
        .col_expr(
            profiles::Column::StripeCustomerRequest,
            Expr::value(None::<sea_orm::prelude::Json>),
        )
        .col_expr(profiles::Column::StripeCustomerKey, Expr::value(key))
        // The new one is made of what its checkout tells.
        .col_expr(profiles::Column::StripeFollowUs, Expr::value(None::<i64>))
        .col_expr(profiles::Column::StripeProblem, Expr::value(""))
        .filter(profiles::Column::UserId.eq(user_id.0));
    update = match customer_id {
        Some(customer_id) => update.filter(profiles::Column::StripeCustomerId.eq(customer_id)),
        None => update.filter(profiles::Column::StripeCustomerId.is_null()),
    };
    update.exec(&**tx).await?;
    Ok(())
}

/// Stores the user's Stripe customer, unless one is stored; tells which it is now.
pub async fn set_customer(tx: &Tx, user_id: UserId, customer_id: &str) -> Result<String, Error> {
    profiles::Entity::update_many()
        .col_expr(profiles::Column::StripeCustomerId, Expr::value(customer_id))
        .filter(profiles::Column::UserId.eq(user_id.0))
        .filter(profiles::Column::StripeCustomerId.is_null())
        .exec(&**tx)
        .await?;
    let found = find(&**tx, user_id)
        .await?
        .and_then(|profile| profile.stripe_customer_id);
    found.ok_or_else(|| Error::Corrupt(format!("profile of {user_id} has no customer")))
}

fn profile(row: profiles::Model) -> Result<Profile, Error> {
    let problem = |text: &str, column| {
        (!text.is_empty())
            .then(|| word(Problem::parse, text, column))
            .transpose()
    };
    Ok(Profile {
        user_id: UserId(row.user_id),
        email: row.email,
        email_verified: row.email_verified,
        first_name: row.first_name,
        last_name: row.last_name,
        stripe_customer_id: row.stripe_customer_id,
        created_us: micros(row.created_at),
        updated_us: micros(row.updated_at),
        stripe_follow_us: row.stripe_follow_us,
        stripe_problem: problem(&row.stripe_problem, "profiles.stripe_problem")?,
        panel_follow_us: row.panel_follow_us,
        panel_problem: problem(&row.panel_problem, "profiles.panel_problem")?,
        panel_leaving_id: row.panel_leaving_id,
        deleted_us: row.deleted_us,
    })
}
