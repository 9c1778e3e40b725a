//! Who still has to follow a profile: Stripe, and the panel. A wish is taken from here, and is
//! cleared only if it is still the one that was carried out.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
    sea_query::{Expr, Query},
};

use super::profile;
use crate::{
    db::{
        Error, Tx,
        entity::{external_accounts, profiles},
    },
    domain::{
        UserId,
        profile::{Problem, Profile},
    },
};

/// Whom a profile is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// Its customer at Stripe.
    Stripe,
    /// Its account on the panel.
    Panel,
}

impl Follower {
    /// For metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Panel => "panel",
        }
    }

    const fn since(self) -> profiles::Column {
        match self {
            Self::Stripe => profiles::Column::StripeFollowUs,
            Self::Panel => profiles::Column::PanelFollowUs,
        }
    }

    const fn problem(self) -> profiles::Column {
        match self {
            Self::Stripe => profiles::Column::StripeProblem,
            Self::Panel => profiles::Column::PanelProblem,
        }
    }

    /// Profiles that it has to follow, as far as that can be tried.
    fn waiting(self) -> Select<profiles::Entity> {
        let changed = Condition::all()
            .add(self.since().is_not_null())
            .add(self.problem().eq(""));
        let wanted = match self {
            Self::Stripe => changed.add(profiles::Column::StripeCustomerId.is_not_null()),
            Self::Panel => {
                let accounts = Query::select()
                    .column(external_accounts::Column::UserId)
                    .from(external_accounts::Entity)
                    .to_owned();
                // One that is still to be made is looked at once it is.
                let changed = changed.add(profiles::Column::UserId.in_subquery(accounts));
                Condition::any()
                    .add(changed)
                    .add(profiles::Column::PanelLeavingId.is_not_null())
            }
        };
        profiles::Entity::find().filter(wanted)
    }
}

/// Profiles that somebody has to follow, behind `after`, by the user's id.
pub async fn due(
    connection: &impl ConnectionTrait,
    follower: Follower,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<Profile>, Error> {
    let mut query = follower
        .waiting()
        .order_by_asc(profiles::Column::UserId)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(profiles::Column::UserId.gt(after.0));
    }
    let rows = query.all(connection).await?;
    rows.into_iter().map(profile).collect()
}

/// Notes that what was wanted at `since_us` was carried out. Where something else is wanted by
/// now, or nothing, somebody wrote meanwhile, and which of both came last is not known: it is
/// told once more.
pub async fn set_followed(
    tx: &Tx,
    user_id: UserId,
    follower: Follower,
    since_us: i64,
    now_us: i64,
) -> Result<(), Error> {
    let since = follower.since();
    let cleared = profiles::Entity::update_many()
        .col_expr(since, Expr::value(None::<i64>))
        .filter(profiles::Column::UserId.eq(user_id.0))
        .filter(since.eq(since_us))
        .exec(&**tx)
        .await?;
    if cleared.rows_affected == 0 {
        profiles::Entity::update_many()
            .col_expr(since, Expr::value(now_us.max(since_us + 1)))
            .filter(profiles::Column::UserId.eq(user_id.0))
            .filter(since.is_null())
            .filter(profiles::Column::DeletedUs.is_null())
            .exec(&**tx)
            .await?;
    }
    Ok(())
}

/// Gives a wish another time in place of this one, under which nothing can be learned any more.
pub async fn set_anew(
    tx: &Tx,
    user_id: UserId,
    follower: Follower,
    since_us: i64,
    now_us: i64,
) -> Result<(), Error> {
    let since = follower.since();
    profiles::Entity::update_many()
        .col_expr(since, Expr::value(now_us.max(since_us + 1)))
        .filter(profiles::Column::UserId.eq(user_id.0))
        .filter(since.eq(since_us))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that what was wanted at `since_us` is refused for good. The wish stays with it.
pub async fn set_refused(
    tx: &Tx,
    user_id: UserId,
    follower: Follower,
    since_us: i64,
    why: Problem,
) -> Result<(), Error> {
    profiles::Entity::update_many()
        .col_expr(follower.problem(), Expr::value(why.as_str()))
        .filter(profiles::Column::UserId.eq(user_id.0))
        .filter(follower.since().eq(since_us))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that the account which was to be deleted is gone, or why it is left.
pub async fn set_left(
    tx: &Tx,
    user_id: UserId,
    panel_id: i64,
    why: Option<Problem>,
) -> Result<(), Error> {
    let mut update = profiles::Entity::update_many()
        .col_expr(profiles::Column::PanelLeavingId, Expr::value(None::<i64>));
    if let Some(why) = why {
        update = update.col_expr(profiles::Column::PanelProblem, Expr::value(why.as_str()));
    }
    update
        .filter(profiles::Column::UserId.eq(user_id.0))
        .filter(profiles::Column::PanelLeavingId.eq(panel_id))
        .exec(&**tx)
        .await?;
    Ok(())
}
