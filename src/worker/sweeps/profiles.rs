//! Tells Stripe and the panel what was changed of profiles. What is to be told is read afresh, and
//! telling it again comes to the same; trouble ends a look, and the next one goes on behind it, so
//! that one profile stands in nobody's way.

use std::{future::Future, sync::Arc};

use super::{Found, PROFILES, one_of_many};
use crate::{
    app::{App, Error},
    db::profiles::follow::{self, Follower},
    domain::{
        UserId,
        ids::parse_uuid,
        profile::{Problem, Profile},
    },
};

mod panel;
mod stripe;

/// Profiles at a time, and so often in one run.
const BATCH: u64 = 100;
const BATCHES: usize = 10;

/// What telling one came to.
enum Told {
    /// It is as it should be.
    Done,
    /// It never will be by itself.
    Refused(Problem),
    /// Somebody does not answer, or wants us to wait.
    Trouble,
}

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let (stripe, panel) = cursor.split_once(' ').unwrap_or_default();
    let (stripe, panel) = tokio::join!(
        look(app, Follower::Stripe, stripe, |profile| stripe::tell(
            app, profile
        )),
        look(app, Follower::Panel, panel, |profile| panel::tell(
            app, profile
        )),
    );
    let (stripe, panel) = (stripe?, panel?);
    Ok(Found {
        finds: stripe.finds.saturating_add(panel.finds),
        cursor: format!("{} {}", stripe.cursor, panel.cursor),
        more: stripe.more || panel.more,
        ..Found::default()
    })
}

/// Tells one follower of all profiles behind the cursor.
async fn look<F, Fut>(app: &App, follower: Follower, cursor: &str, tell: F) -> Result<Found, Error>
where
    F: Fn(Profile) -> Fut,
    Fut: Future<Output = Result<Told, Error>>,
{
    let mut after = parse_uuid(cursor).map(UserId);
    let (mut finds, mut more) = (0, true);
    for _ in 0..BATCHES {
        let due = follow::due(app.db.read(), follower, after, BATCH).await?;
        if due.is_empty() {
            after = None;
            more = false;
            break;
        }
        for profile in due {
            let user_id = profile.user_id;
            after = Some(user_id);
            let told = tell(profile).await.map(Some);
            match one_of_many(PROFILES, &user_id, told)? {
                Some(Told::Done) => finds += 1,
                Some(Told::Refused(why)) => {
                    let name = follower.name();
                    metrics::counter!("spawnpoint_profiles_not_followed_total", "by" => name)
                        .increment(1);
                    tracing::error!(%user_id, follower = name, %why, "a profile is not followed");
                }
                // It is asked again in the next round.
                None => {}
                Some(Told::Trouble) => {
                    return Ok(Found {
                        finds,
                        cursor: shown(after),
                        more: false,
                        ..Found::default()
                    });
                }
            }
        }
    }
    Ok(Found {
        finds,
        cursor: shown(after),
        more,
        ..Found::default()
    })
}

fn shown(after: Option<UserId>) -> String {
    after.map(|user_id| user_id.to_string()).unwrap_or_default()
}

/// Notes that a follower has what was wanted.
async fn followed(
    app: &App,
    user_id: UserId,
    follower: Follower,
    since_us: i64,
) -> Result<Told, Error> {
    app.db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            follow::set_followed(&tx, user_id, follower, since_us, now_us).await
        })
        .await?;
    Ok(Told::Done)
}

/// Notes that a follower refuses what was wanted.
async fn refused(
    app: &App,
    user_id: UserId,
    follower: Follower,
    since_us: i64,
    why: Problem,
) -> Result<Told, Error> {
    app.db
        .tx(|tx| async move { follow::set_refused(&tx, user_id, follower, since_us, why).await })
        .await?;
    Ok(Told::Refused(why))
}
