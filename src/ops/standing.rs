//! Gauges of orders that stand still, counted when somebody asks: an alarm on what waits for a
//! person does not depend on who was there when it began to wait.

use std::fmt::Write;

use crate::{
    db::{Db, Error, orders::standing},
    domain::order::{ErrorReason, WaitingReason},
};

/// In the text format of Prometheus, every reason that there is.
pub(super) async fn render(db: &Db) -> Result<String, Error> {
    let standing = standing::count(db.read()).await?;
    let mut text = String::new();
    let waiting = WaitingReason::ALL
        .iter()
        .map(|reason| (reason.as_str(), of(&standing.waiting, reason)));
    gauge(&mut text, "spawnpoint_orders_waiting", waiting);
    let parked = ErrorReason::ALL
        .iter()
        .map(|reason| (reason.as_str(), of(&standing.parked, reason)));
    gauge(&mut text, "spawnpoint_orders_parked", parked);
    Ok(text)
}

fn of<T: PartialEq>(counts: &[(T, i64)], reason: &T) -> i64 {
    let found = counts.iter().find(|(known, _)| known == reason);
    found.map_or(0, |(_, count)| *count)
}

fn gauge(text: &mut String, name: &str, series: impl Iterator<Item = (&'static str, i64)>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# TYPE {name} gauge");
    for (reason, count) in series {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {count}");
    }
}
