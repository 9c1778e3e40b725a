//! Gives a panel account that we made the address and the names that the profile has, and deletes
//! one whose profile was deleted.
//!
//! The panel's traps: ids are reused after a rebuild, so that the account is looked at first and
//! has to bear the user's id; it may have become an administrator's; and a change writes whole.

use super::{Told, followed, refused};
use crate::{
    app::{App, Error},
    db::{
        accounts, node_sightings,
        profiles::follow::{self, Follower},
    },
    domain::{
        UserId,
        profile::{Origin, Problem, Profile, panel_names},
    },
    panel::{self, User},
};

pub(super) async fn tell(app: &App, profile: Profile) -> Result<Told, Error> {
    // Every id that we know may mean something else.
    if node_sightings::panel_changed(app.db.read()).await? {
        return Ok(Told::Trouble);
    }
    match (profile.panel_leaving_id, profile.panel_follow_us) {
        (Some(panel_id), _) => let_go(app, profile.user_id, panel_id).await,
        (None, Some(since_us)) => rewrite(app, &profile, since_us).await,
        (None, None) => Ok(Told::Done),
    }
}

/// The account as the panel has it, if it is surely the user's.
async fn look(
    app: &App,
    user_id: UserId,
    panel_id: i64,
) -> Result<Result<User, Problem>, panel::Error> {
    let external_id = user_id.to_string();
    let found = app
        .panel_housekeeping
        .user_by_external_id(&external_id)
        .await?;
    Ok(match found {
        None => Err(Problem::Missing),
        Some(user) if user.id != panel_id => Err(Problem::Foreign),
        Some(user) if user.root_admin => Err(Problem::Administrator),
        Some(user) => Ok(user),
    })
}

async fn rewrite(app: &App, profile: &Profile, since_us: i64) -> Result<Told, Error> {
    let user_id = profile.user_id;
    let account = accounts::find(app.db.read(), user_id).await?;
    // Others' accounts are theirs to change.
    let Some(account) = account.filter(|account| account.origin == Origin::Created) else {
        return followed(app, user_id, Follower::Panel, since_us).await;
    };
    let done = match look(app, user_id, account.panel_id).await {
        Ok(Ok(user)) => written(app, profile, user).await,
        Ok(Err(problem)) => Ok(Err(problem)),
        Err(error) => Err(error),
    };
    match done {
        Ok(Ok(())) => {
            app.db
                .tx(|tx| async move {
                    let now_us = app.db.now_in(&tx).await?;
                    accounts::set_synced(&tx, user_id, now_us).await
                })
                .await?;
            followed(app, user_id, Follower::Panel, since_us).await
        }
        Ok(Err(problem)) => refused(app, user_id, Follower::Panel, since_us, problem).await,
        Err(error) => Ok(trouble(&error)),
    }
}

/// Writes the account, unless it is as it should be already.
async fn written(
    app: &App,
    profile: &Profile,
    user: User,
) -> Result<Result<(), Problem>, panel::Error> {
    let (first_name, last_name) = panel_names(profile);
    let has = (
        user.email.as_str(),
        user.first_name.as_deref(),
        user.last_name.as_deref(),
    );
    if has
        == (
            profile.email.as_str(),
            Some(first_name.as_str()),
            Some(last_name.as_str()),
        )
    {
        return Ok(Ok(()));
    }
    let wanted = User {
        email: profile.email.clone(),
        first_name: Some(first_name),
        last_name: Some(last_name),
        ..user
    };
    match app.panel_housekeeping.update_user(&wanted).await {
        Ok(_) => Ok(Ok(())),
        Err(error @ panel::Error::Rejected { .. }) => {
            tracing::warn!(%error, "a panel account could not be changed");
            Ok(Err(Problem::Refused))
        }
        Err(panel::Error::NotFound) => Ok(Err(Problem::Missing)),
        Err(error) => Err(error),
    }
}

/// Deletes the account of a user who was deleted. One that is not surely it stays, and so does
/// one that owns servers of others.
async fn let_go(app: &App, user_id: UserId, panel_id: i64) -> Result<Told, Error> {
    let left = match look(app, user_id, panel_id).await {
        Ok(Err(Problem::Missing)) => None,
        Ok(Err(problem)) => Some(problem),
        Ok(Ok(_)) => match app.panel_housekeeping.delete_user(panel_id).await {
            Ok(()) => None,
            Err(panel::Error::Rejected { .. }) => Some(Problem::HasServers),
            Err(error) => return Ok(trouble(&error)),
        },
        Err(error) => return Ok(trouble(&error)),
    };
    app.db
        .tx(|tx| async move { follow::set_left(&tx, user_id, panel_id, left).await })
        .await?;
    Ok(left.map_or(Told::Done, Told::Refused))
}

fn trouble(error: &panel::Error) -> Told {
    tracing::warn!(%error, "a panel account could not follow its profile yet");
    Told::Trouble
}
