//! The faults of one stand-in: which call runs into which, and how often each has fired.
//!
//! Counts outlive their fault, so that a test can ask after it has cleared everything.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Fault, FaultAction, FaultId, Moment};

/// What a stand-in knows of a call when it arrives.
pub(crate) struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub body: &'a [u8],
}

/// A fault that a call has run into.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub id: FaultId,
    pub action: FaultAction,
    pub when: Moment,
    released: CancellationToken,
    cleared: CancellationToken,
}

impl Strike {
    /// Waits real time, at most until the fault is released or cleared.
    pub(crate) async fn rest(&self, milliseconds: u64) {
        tokio::select! {
            () = self.ended() => {}
            () = tokio::time::sleep(Duration::from_millis(milliseconds)) => {}
        }
    }

    /// Resolves when the fault is released or cleared.
    pub(crate) async fn ended(&self) {
        tokio::select! {
            () = self.released.cancelled() => {}
            () = self.cleared.cancelled() => {}
        }
    }

    /// Waits until late work may begin: by the stand-in's clock, or until the fault is released.
    /// Clearing the faults does not hurry what the service has already taken.
    pub(crate) async fn landing(&self, clock: impl Fn() -> i64, moved: &Notify) {
        let Moment::Late { milliseconds } = self.when else {
            return;
        };
        let wait = milliseconds.map(|wait| i64::try_from(wait).unwrap_or(i64::MAX));
        let due = wait.map(|wait| clock().saturating_add(wait));
        loop {
            let mut turned = std::pin::pin!(moved.notified());
            turned.as_mut().enable();
            let left = due.map_or(i64::MAX, |due| due.saturating_sub(clock()));
            let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else {
                return;
            };
            // A clock that stands still is looked at now and then, not all the time.
            let left = Duration::from_millis(left.max(5));
            tokio::select! {
                () = self.released.cancelled() => return,
                () = turned => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}

#[derive(Debug)]
struct Injected {
    id: FaultId,
    fault: Fault,
    /// Calls that matched.
    seen: usize,
    /// Calls that were given to it; some may never come to its moment.
    taken: usize,
    fired: usize,
    /// Late work that waits, and that was done.
    waiting: usize,
    landed: usize,
    active: bool,
    released: CancellationToken,
    cleared: CancellationToken,
}

impl Injected {
    fn meets(&self, asked: &Asked<'_>, base: &str) -> bool {
        let fault = &self.fault;
        let method = fault.method.as_deref();
        let inner = asked.path.strip_prefix(base).filter(|_| !base.is_empty());
        let paths = [Some(asked.path), inner];
        method.is_none_or(|method| method.eq_ignore_ascii_case(asked.method))
            && paths.into_iter().flatten().any(|path| match fault.whole {
                true => is_route(path, &fault.path),
                false => path.starts_with(&fault.path),
            })
            && fault.containing.as_deref().is_none_or(|text| {
                asked.query.contains(text) || String::from_utf8_lossy(asked.body).contains(text)
            })
    }

    fn in_turn(&self) -> bool {
        match (self.fault.nth, self.fault.times) {
            (None, None) => true,
            (Some(nth), None) => self.seen == nth,
            (nth, Some(times)) => self.seen >= nth.unwrap_or(1) && self.taken < times,
        }
    }

    fn report(&self) -> Value {
        json!({
            "id": self.id,
            "fault": self.fault,
            "active": self.active,
            "seen": self.seen,
            "fired": self.fired,
            "waiting": self.waiting,
            "landed": self.landed,
        })
    }
}

/// Whether a path is a route's, in which `{...}` stands for any one segment.
fn is_route(path: &str, template: &str) -> bool {
    let mut parts = template.trim_matches('/').split('/');
    let mut segments = path.trim_matches('/').split('/');
    loop {
        match (parts.next(), segments.next()) {
            (None, None) => return true,
            (Some(part), Some(segment)) if part.starts_with('{') && !segment.is_empty() => {}
            (Some(part), Some(segment)) if part == segment => {}
            _ => return false,
        }
    }
}

/// All faults of a stand-in, also those that are over.
#[derive(Debug)]
pub(crate) struct Faults {
    /// What paths may be given without.
    base: &'static str,
    injected: Vec<Injected>,
}

impl Faults {
    pub(crate) fn new(base: &'static str) -> Self {
        Self {
            base,
            injected: Vec::new(),
        }
    }

    pub(crate) fn inject(&mut self, fault: Fault) -> FaultId {
        let id = FaultId(self.injected.len() as u64 + 1);
        self.injected.push(Injected {
            id,
            fault,
            seen: 0,
            taken: 0,
            fired: 0,
            waiting: 0,
            landed: 0,
            active: true,
            released: CancellationToken::new(),
            cleared: CancellationToken::new(),
        });
        id
    }

    /// The fault a call runs into, the earliest injected one. All that match count it as seen.
    pub(crate) fn strike(&mut self, asked: &Asked<'_>) -> Option<Strike> {
        let mut struck = None;
        for injected in self.injected.iter_mut().filter(|injected| injected.active) {
            if !injected.meets(asked, self.base) {
                continue;
            }
            injected.seen += 1;
            if struck.is_some() || !injected.in_turn() {
                continue;
            }
            injected.taken += 1;
            match injected.fault.when {
                Moment::BeforeCommit | Moment::AfterCommit => {}
                Moment::Late { .. } => {
                    injected.fired += 1;
                    injected.waiting += 1;
                }
                Moment::BeforeWork | Moment::AfterWork => injected.fired += 1,
            }
            struck = Some(Strike {
                id: injected.id,
                action: injected.fault.action.clone(),
                when: injected.fault.when,
                released: injected.released.clone(),
                cleared: injected.cleared.clone(),
            });
        }
        struck
    }

    /// A call has come to the inner moment at which its fault strikes.
    pub(crate) fn reached(&mut self, id: FaultId) {
        if let Some(injected) = self.find(id) {
            injected.fired += 1;
        }
    }

    /// Late work is done.
    pub(crate) fn landed(&mut self, id: FaultId) {
        if let Some(injected) = self.find(id) {
            injected.waiting = injected.waiting.saturating_sub(1);
            injected.landed += 1;
        }
    }

    /// Ends the waits of the calls that a fault holds now; it goes on to strike others.
    pub(crate) fn release(&mut self, id: FaultId) {
        if let Some(injected) = self.find(id) {
            std::mem::take(&mut injected.released).cancel();
        }
    }

    pub(crate) fn fired(&self, id: FaultId) -> usize {
        self.count(id, |injected| injected.fired)
    }

    pub(crate) fn landings(&self, id: FaultId) -> usize {
        self.count(id, |injected| injected.landed)
    }

    /// Ends every fault and the waits of the calls they hold.
    pub(crate) fn clear(&mut self) {
        self.injected.iter_mut().for_each(disarm);
    }

    pub(crate) fn remove(&mut self, id: FaultId) {
        if let Some(injected) = self.find(id) {
            disarm(injected);
        }
    }

    /// One fault with its counts.
    pub(crate) fn report(&self, id: FaultId) -> Option<Value> {
        let mut all = self.injected.iter();
        all.find(|injected| injected.id == id).map(Injected::report)
    }

    /// Every fault with its counts.
    pub(crate) fn reports(&self) -> Vec<Value> {
        self.injected.iter().map(Injected::report).collect()
    }

    fn find(&mut self, id: FaultId) -> Option<&mut Injected> {
        self.injected.iter_mut().find(|injected| injected.id == id)
    }

    fn count(&self, id: FaultId, of: impl Fn(&Injected) -> usize) -> usize {
        let mut all = self.injected.iter();
        all.find(|injected| injected.id == id).map_or(0, of)
    }
}

fn disarm(injected: &mut Injected) {
    injected.active = false;
    injected.cleared.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(faults: &mut Faults, path: &str) -> bool {
        let asked = Asked {
            method: "POST",
            path,
            query: "",
            body: b"{\"external_id\":\"ord_1\"}",
        };
        faults.strike(&asked).is_some()
    }

    fn turns(fault: Fault) -> Vec<bool> {
        let mut faults = Faults::new("/api");
        faults.inject(fault);
        (0..5).map(|_| strikes(&mut faults, "/api/a")).collect()
    }

    #[test]
    fn nth_and_times_choose_calls() {
        let fault = || Fault::on("POST", "/a", FaultAction::Drop);
        assert_eq!(turns(fault()), [true; 5]);
        assert_eq!(turns(fault().nth(2)), [false, true, false, false, false]);
        assert_eq!(turns(fault().times(2)), [true, true, false, false, false]);
        let both = fault().nth(2).times(2);
        assert_eq!(turns(both), [false, true, true, false, false]);
    }

    #[test]
    fn a_whole_path_is_one_endpoint() {
        let mut faults = Faults::new("/api");
        faults.inject(Fault::on_route("*", "/a/{id}/b", FaultAction::Drop));
        assert!(strikes(&mut faults, "/api/a/7/b"));
        assert!(strikes(&mut faults, "/a/x/b"));
        for other in ["/api/a/7", "/api/a/7/b/c", "/api/a//b", "/b/a/7/b"] {
            assert!(!strikes(&mut faults, other), "{other}");
        }
    }

    #[test]
    fn a_text_in_the_body_chooses_calls() {
        let mut faults = Faults::new("");
        faults.inject(Fault::on("*", "/", FaultAction::Drop).containing("ord_2"));
        assert!(!strikes(&mut faults, "/a"));
        faults.inject(Fault::on("*", "/", FaultAction::Drop).containing("ord_1"));
        assert!(strikes(&mut faults, "/a"));
    }
}
