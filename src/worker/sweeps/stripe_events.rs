//! Finds events that no webhook brought: Stripe's own list of them since the last look goes
//! into the same inbox, by the same way.

use std::sync::Arc;

use super::Found;
use crate::{
    app::{self, App, Error},
    db::stripe_events::{self, Source},
    domain::SECOND_US,
    stripe::{self, EventFilter, ListedEvent, events::MATTERING},
};

/// Pages of 100 events in one run.
const PAGES: usize = 50;
/// An event may appear in the list a little after its own time, and clocks differ.
const OVERLAP_S: i64 = 300;

/// Where the looks stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Everything made before this second was seen.
    since_s: i64,
    /// The newest seen by a look that has not come to its end.
    newest_s: i64,
    /// Behind which event that look goes on.
    after: Option<String>,
}

impl Place {
    fn read(cursor: &str, now_s: i64) -> Self {
        let mut parts = cursor.split(' ');
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        // The first look of all: there were no orders before.
        let since_s = number().unwrap_or(now_s);
        let newest_s = number().unwrap_or(since_s);
        Self {
            since_s,
            newest_s,
            after: parts.next().map(str::to_owned),
        }
    }

    fn write(&self) -> String {
        match &self.after {
            Some(after) => format!("{} {} {after}", self.since_s, self.newest_s),
            None => self.since_s.to_string(),
        }
    }
}

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let now_s = app.db.now().await? / SECOND_US;
    let mut place = Place::read(cursor, now_s);
    let filter = EventFilter {
        types: &MATTERING,
        created_gte: place.since_s - OVERLAP_S,
    };
    let mut finds = 0;
    for _ in 0..PAGES {
        let page = match app.stripe.events(&filter, place.after.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "Stripe's events could not be listed");
                if let stripe::Error::Invalid { .. } | stripe::Error::NotFound { .. } = error {
                    // What the look was to go on behind is no longer kept.
                    place.after = None;
                }
                break;
            }
        };
        finds += store_unknown(app, &page.data).await?;
        let newest_s = page.data.iter().map(|event| event.created).max();
        place.newest_s = place.newest_s.max(newest_s.unwrap_or(0));
        place.after = page.data.last().map(|event| event.id.clone());
        if !page.has_more || place.after.is_none() {
            // Only a look that came to its end moves the mark.
            place.since_s = place.newest_s;
            place.after = None;
            break;
        }
    }
    Ok(Found {
        finds,
        cursor: place.write(),
    })
}

/// Stores those that are not in the inbox, the oldest first. Tells how many there were.
async fn store_unknown(app: &Arc<App>, listed: &[ListedEvent]) -> Result<i32, Error> {
    let ids: Vec<&str> = listed.iter().map(|event| event.id.as_str()).collect();
    let known = stripe_events::known(app.db.read(), &ids).await?;
    let mut stored = 0;
    for event in listed.iter().rev() {
        if known.contains(&event.id) {
            continue;
        }
        match app::stripe_events::record(app, &event.payload, None, Source::Sweep, "").await {
            Ok(recorded) => stored += i32::from(!recorded.duplicate),
            // What cannot be read is no event to anybody, and must not hold up the others.
            Err(Error::Refused(error)) => {
                tracing::error!(event_id = event.id, %error, "a listed event is refused");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_and_read() {
        for place in [
            Place {
                since_s: 7,
                newest_s: 7,
                after: None,
            },
            Place {
                since_s: 7,
                newest_s: 9,
                after: Some("evt_1".to_owned()),
            },
        ] {
            assert_eq!(Place::read(&place.write(), 100), place);
        }
        let first = Place::read("", 100);
        assert_eq!(
            (first.since_s, first.newest_s, first.after),
            (100, 100, None)
        );
    }
}
