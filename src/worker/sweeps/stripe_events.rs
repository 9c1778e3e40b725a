//! Finds events that no webhook brought: Stripe's own list of them since the last look goes
//! into the same inbox, by the same way. Events that failed are tried again.

use std::sync::Arc;

use super::{Found, STRIPE_EVENTS, cut_short};
use crate::{
    app::{self, App, Error},
    db::{
        self,
        stripe_events::{self, Source},
    },
    domain::SECOND_US,
    stripe::{self, EventFilter, ListedEvent, events::MATTERING},
    worker::driver::chain,
};

/// Pages of 100 events in one run.
const PAGES: usize = 50;
/// An event may appear in the list a little after its own time, and clocks differ.
const OVERLAP_S: i64 = 300;

/// How far the looks have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Watermark {
    /// Everything made before this second was seen.
    since_s: i64,
    /// The newest seen by a look that has not come to its end.
    newest_s: i64,
    /// Behind which event that look goes on.
    after: Option<String>,
}

impl Watermark {
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
    let mut mark = Watermark::read(cursor, now_s);
    let filter = EventFilter {
        types: &MATTERING,
        created_gte: mark.since_s - OVERLAP_S,
    };
    let (mut finds, mut more) = (0, true);
    for _ in 0..PAGES {
        let page = match app.stripe.events(&filter, mark.after.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                cut_short(STRIPE_EVENTS, &error, "Stripe's events");
                if let stripe::Error::Invalid { .. } | stripe::Error::NotFound { .. } = error {
                    // What the look was to go on behind is no longer kept.
                    mark.after = None;
                }
                more = false;
                break;
            }
        };
        finds += store_unknown(app, &page.data).await?;
        let newest_s = page.data.iter().map(|event| event.created).max();
        mark.newest_s = mark.newest_s.max(newest_s.unwrap_or(0));
        mark.after = page.data.last().map(|event| event.id.clone());
        if !page.has_more || mark.after.is_none() {
            // Only a look that came to its end moves the mark.
            mark.since_s = mark.newest_s;
            mark.after = None;
            more = false;
            break;
        }
    }
    finds += app::stripe_events::retry_failed(app).await?;
    Ok(Found {
        finds,
        cursor: mark.write(),
        more,
        ..Found::default()
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
            Err(Error::Store(error @ (db::Error::Unavailable(_) | db::Error::Again(_)))) => {
                return Err(Error::Store(error));
            }
            // One order that cannot be read must not hide the news of all others.
            Err(error) => {
                tracing::error!(event_id = event.id, error = %chain(&error), "a listed event failed");
            }
        }
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_is_written_and_read() {
        for mark in [
            Watermark {
                since_s: 7,
                newest_s: 7,
                after: None,
            },
            Watermark {
                since_s: 7,
                newest_s: 9,
                after: Some("evt_1".to_owned()),
            },
        ] {
            assert_eq!(Watermark::read(&mark.write(), 100), mark);
        }
        let first = Watermark::read("", 100);
        assert_eq!(
            (first.since_s, first.newest_s, first.after),
            (100, 100, None)
        );
    }
}
