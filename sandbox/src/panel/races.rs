//! Races on demand: creates that wait for each other once their request was found good, so that all
//! but one lose in the way that is wanted.
//!
//! Whoever waits in vain goes on after a while, and the race has not fired: a caller that does one
//! create after the other cannot be made to race.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::state::Shared;

/// Names a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RaceId(pub u64);

/// Which creates race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RaceTable {
    /// `POST /servers`.
    Servers,
    /// `POST /users`.
    Users,
}

/// What the losers run into, if they want the same as the winner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RaceLoss {
    /// The model's own check: 500 `DataValidationException`.
    ModelCheck,
    /// A unique key of the database: 500 `QueryException`, and an id is used up. Users of one
    /// external id and nothing else in common all win, because no key forbids it.
    Insert,
}

/// Creates that are made to race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Race {
    /// Which creates.
    pub table: RaceTable,
    /// How many of them.
    pub creates: usize,
    /// How all but one lose.
    pub lost_by: RaceLoss,
    /// How long one waits for the others, in real milliseconds.
    #[serde(default = "patience")]
    pub patience_ms: u64,
}

fn patience() -> u64 {
    10_000
}

impl Race {
    /// Between creates of servers.
    pub fn servers(creates: usize, lost_by: RaceLoss) -> Self {
        Self {
            table: RaceTable::Servers,
            creates,
            lost_by,
            patience_ms: patience(),
        }
    }

    /// Between creates of users.
    pub fn users(creates: usize, lost_by: RaceLoss) -> Self {
        Self {
            table: RaceTable::Users,
            ..Self::servers(creates, lost_by)
        }
    }

    /// Lets one wait for the others no longer than this.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self
    }
}

#[derive(Debug)]
struct Planned {
    race: Race,
    arrived: usize,
    fired: bool,
    /// Nobody else joins: it has fired, or somebody ran out of patience.
    over: bool,
    start: CancellationToken,
    turn: Arc<Mutex<()>>,
}

#[derive(Debug, Default)]
pub(crate) struct Races(Vec<Planned>);

impl Races {
    pub(crate) fn plan(&mut self, race: Race) -> RaceId {
        self.0.push(Planned {
            race,
            arrived: 0,
            fired: false,
            over: false,
            start: CancellationToken::new(),
            turn: Arc::default(),
        });
        RaceId(self.0.len() as u64)
    }

    /// Whether all met.
    pub(crate) fn fired(&self, id: RaceId) -> bool {
        let index = usize::try_from(id.0).unwrap_or(0).checked_sub(1);
        index
            .and_then(|index| self.0.get(index))
            .is_some_and(|planned| planned.fired)
    }

    /// Lets everybody go on and plans no more.
    pub(crate) fn clear(&mut self) {
        for planned in &mut self.0 {
            planned.over = true;
            planned.start.cancel();
        }
    }

    pub(crate) fn reports(&self) -> Vec<Value> {
        let ids = 1_u64..;
        let reports = self.0.iter().zip(ids).map(|(planned, id)| {
            json!({
                "id": id, "race": planned.race, "arrived": planned.arrived,
                "fired": usize::from(planned.fired),
            })
        });
        reports.collect()
    }

    fn join(&mut self, table: RaceTable, at: RaceLoss) -> Option<Meeting> {
        let (index, planned) = self.0.iter_mut().enumerate().find(|(_, planned)| {
            !planned.over && planned.race.table == table && planned.race.lost_by == at
        })?;
        planned.arrived += 1;
        if planned.arrived >= planned.race.creates {
            planned.fired = true;
            planned.over = true;
            planned.start.cancel();
        }
        Some(Meeting {
            index,
            start: planned.start.clone(),
            turn: Arc::clone(&planned.turn),
            patience: Duration::from_millis(planned.race.patience_ms),
        })
    }

    fn give_up(&mut self, index: usize) {
        if let Some(planned) = self.0.get_mut(index) {
            planned.over = true;
            planned.start.cancel();
        }
    }
}

struct Meeting {
    index: usize,
    start: CancellationToken,
    turn: Arc<Mutex<()>>,
    patience: Duration,
}

/// Waits for the others of a race, if there is one here. Who holds the turn acts alone: the others
/// go on when it is dropped, and find what was done.
pub(crate) async fn meet(
    shared: &Shared,
    table: RaceTable,
    at: RaceLoss,
) -> Option<OwnedMutexGuard<()>> {
    let meeting = shared.lock().races.join(table, at)?;
    tokio::select! {
        () = meeting.start.cancelled() => {}
        () = tokio::time::sleep(meeting.patience) => shared.lock().races.give_up(meeting.index),
    }
    Some(meeting.turn.lock_owned().await)
}
