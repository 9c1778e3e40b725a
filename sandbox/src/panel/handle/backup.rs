//! The panel's database as a backup has it, and a panel that is set back to one.

use std::collections::BTreeMap;

use super::RunningPanel;
use crate::panel::rows::{Allocation, Server, User};
use crate::panel::state::Sequences;

/// What the panel's database held of users, ports and servers.
#[derive(Clone, Debug)]
pub struct Backup {
    users: BTreeMap<i64, User>,
    allocations: BTreeMap<i64, Allocation>,
    servers: BTreeMap<i64, Server>,
    sequences: Sequences,
}

impl RunningPanel {
    /// Makes a backup.
    pub fn back_up(&self) -> Backup {
        let state = self.shared.lock();
        Backup {
            users: state.users.clone(),
            allocations: state.allocations.clone(),
            servers: state.servers.clone(),
            sequences: state.sequences.clone(),
        }
    }

    /// Sets the panel back to a backup: what was made since is gone, and the ids that it had are
    /// given out again. Daemons keep what they have.
    pub fn set_back(&self, backup: &Backup) {
        let mut state = self.shared.lock();
        let Backup {
            users,
            allocations,
            servers,
            sequences,
        } = backup.clone();
        state.users = users;
        state.allocations = allocations;
        state.servers = servers;
        state.sequences = sequences;
    }
}
