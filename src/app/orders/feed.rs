//! The feed: every committed change of every order, exactly in order. Places are given after
//! the commit, so that whoever has read up to one has missed nothing before it.

use crate::{
    app::{App, Caller, Error},
    db::order_events,
    domain::{self, error::Violations, order::visible::Event},
};

/// Checks that the caller may read the feed, and that it can go on behind this place.
pub async fn watch_order_events(app: &App, caller: &Caller, after: i64) -> Result<(), Error> {
    caller.may("OrderService/WatchOrderEvents")?;
    let mut violations = Violations::default();
    violations.require(after >= 0, "after_sequence", "must not be negative");
    violations.finish()?;
    let last = order_events::last_number(app.db.read()).await?;
    if after > last {
        // Of a store that was set back, whoever was further has read what is no more.
        let metadata = vec![
            ("after_sequence", after.to_string()),
            ("last_sequence", last.to_string()),
        ];
        let message = format!("the feed ends at {last}: read it anew");
        return Err(domain::Error::precondition("SEQUENCE_EXPIRED", message, metadata).into());
    }
    Ok(())
}

/// The next changes behind a place, at most so many.
pub async fn feed(app: &App, after: i64, limit: u64) -> Result<Vec<Event>, Error> {
    Ok(order_events::numbered(app.db.read(), after, limit).await?)
}
