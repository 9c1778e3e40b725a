//! The trouble a test makes for a running panel and its callers: faults, races, failing daemons,
//! lost installs, stolen ports, outages and the request limit.

use std::time::Duration;

use super::RunningPanel;
use crate::faults::{Fault, FaultId};
use crate::panel::daemon::{DaemonMode, Script};
use crate::panel::races::{Race, RaceId};
use crate::panel::rows::Status;
use crate::panel::state::{InstallCounts, Outage};

impl RunningPanel {
    /// Puts a fault in the way of requests.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.shared.lock().faults.inject(fault)
    }

    /// How often a fault has fired.
    pub fn fired(&self, fault: FaultId) -> usize {
        self.shared.lock().faults.fired(fault)
    }

    /// How many late works of a fault have been done.
    pub fn landed(&self, fault: FaultId) -> usize {
        self.shared.lock().faults.landings(fault)
    }

    /// Ends the waits of the requests that a fault holds now; late work begins. The fault goes on.
    pub fn release(&self, fault: FaultId) {
        self.shared.lock().faults.release(fault);
    }

    /// Ends one fault and the waits of its requests; late work keeps its time.
    pub fn remove_fault(&self, fault: FaultId) {
        self.shared.lock().faults.remove(fault);
    }

    /// Ends every fault and the waits of their requests; late work keeps its time.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Makes the next creates of a kind race.
    pub fn race(&self, race: Race) -> RaceId {
        self.shared.lock().races.plan(race)
    }

    /// Whether a race took place: all its creates met.
    pub fn raced(&self, race: RaceId) -> bool {
        self.shared.lock().races.fired(race)
    }

    /// Ends every race; who waits in one goes on.
    pub fn clear_races(&self) {
        self.shared.lock().races.clear();
    }

    /// Sets how a node's daemon behaves.
    pub fn set_daemon(&self, node: i64, mode: DaemonMode) {
        let script = Script::new(mode, None, None);
        self.shared.lock().daemons.insert(node, script);
    }

    /// Sets how a node's daemon behaves for so many calls; after them it is well again.
    pub fn set_daemon_times(&self, node: i64, mode: DaemonMode, times: usize) {
        let script = Script::new(mode, None, Some(times));
        self.shared.lock().daemons.insert(node, script);
    }

    /// Sets how a node's daemon behaves in its nth call from now, counted from 1; before and
    /// after it is well.
    pub fn set_daemon_nth(&self, node: i64, mode: DaemonMode, nth: usize) {
        let script = Script::new(mode, Some(nth), None);
        self.shared.lock().daemons.insert(node, script);
    }

    /// How many calls have met the present mode of a node's daemon.
    pub fn daemon_fired(&self, node: i64) -> usize {
        let state = self.shared.lock();
        state.daemons.get(&node).map_or(0, |script| script.fired)
    }

    /// Restarts a node's daemon, which forgets what it was installing: the panel then calls those
    /// servers normal.
    pub fn restart_daemon(&self, node: i64) {
        self.shared
            .lock()
            .daemon_restarted(node, self.shared.clock.now());
    }

    /// Sets how many requests the panel works on at a time; further ones wait. A create takes
    /// two of its workers.
    pub fn set_workers(&self, count: usize) {
        self.shared.workers.set(count);
    }

    /// How many daemons asked the panel back in vain, because all its workers were busy.
    pub fn starved(&self) -> usize {
        self.shared.workers.starved()
    }

    /// Sets how long the panel waits for a daemon's answer.
    pub fn set_daemon_timeout(&self, timeout: Duration) {
        self.shared.lock().settings.daemon_timeout = timeout;
    }

    /// Sets how long installs take from now on.
    pub fn set_install_delay(&self, delay: Duration) {
        self.shared.lock().settings.install_delay = Some(delay);
    }

    /// Makes all installs of the server with this external id fail.
    pub fn fail_install(&self, external_id: &str) {
        self.fail_next_installs(external_id, usize::MAX);
    }

    /// Makes the next so many installs of the server with this external id fail.
    pub fn fail_next_installs(&self, external_id: &str, times: usize) {
        self.shared
            .lock()
            .failing_installs
            .insert(external_id.to_owned(), times);
    }

    /// Loses the daemon's report on installs of the server with this external id: it stays
    /// `installing` for ever.
    pub fn lose_install(&self, external_id: &str) {
        self.shared
            .lock()
            .lost_installs
            .insert(external_id.to_owned());
    }

    /// Loses the daemons' reports on the next so many installs that end, whosever they are:
    /// those servers stay `installing` until their daemon restarts.
    pub fn lose_installs(&self, times: usize) {
        self.shared.lock().losses_left = times;
    }

    /// Lets installs of the server with this external id succeed again.
    pub fn allow_install(&self, external_id: &str) {
        let mut state = self.shared.lock();
        state.failing_installs.remove(external_id);
        state.lost_installs.remove(external_id);
    }

    /// Makes a server whose install failed a normal one, as its admin does by "Toggle Status".
    pub fn toggle_install(&self, server_id: i64) {
        let mut state = self.shared.lock();
        if let Some(server) = state.servers.get_mut(&server_id)
            && matches!(
                server.status,
                Status::InstallFailed | Status::ReinstallFailed
            )
        {
            server.status = Status::Normal;
        }
    }

    /// What became of the installs so far.
    pub fn install_counts(&self) -> InstallCounts {
        self.shared.lock().installs
    }

    /// The next so many creates with additional ports lose the first of them to another server as
    /// soon as they are in the database.
    pub fn steal_additional(&self, times: usize) {
        self.shared.lock().thefts.left = times;
    }

    /// How many additional ports were stolen so.
    pub fn stolen(&self) -> usize {
        self.shared.lock().thefts.fired
    }

    /// Gives the panel a trouble of its own, or ends it.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.shared.lock().outage = outage;
    }

    /// Sets the requests per 60 s and user.
    pub fn set_rate_limit(&self, limit: u32) {
        self.shared.lock().rate.limit = limit;
    }

    /// Forgets what was counted against the request limit.
    pub fn reset_rate_limit(&self) {
        self.shared.lock().rate.reset();
    }
}
