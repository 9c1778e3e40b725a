//! What an order knows of its server on the panel.

/// What is known of the panel's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// How many placements were stored.
    pub attempt: i32,
    /// How many creates failed by their node.
    pub node_failures: i32,
    /// Where it is or will be.
    pub node_id: Option<i32>,
    /// Whether a create request is stored.
    pub has_create_request: bool,
    /// A create was sent then and its outcome is not settled.
    pub create_sent_us: Option<i64>,
    /// Look-ups since then.
    pub settle_looks: i32,
    /// When the last of them was.
    pub looked_us: Option<i64>,
    /// The panel's id.
    pub panel_id: Option<i64>,
    /// The panel's short id.
    pub identifier: Option<String>,
    /// The panel's uuid.
    pub uuid: Option<String>,
    /// The owner's panel id.
    pub owner_id: Option<i64>,
    /// How often it was installed again.
    pub reinstalls: i32,
    /// When the running install began.
    pub install_since_us: Option<i64>,
    /// When it was first seen ready.
    pub first_running_us: Option<i64>,
    /// The panel's word as last seen; empty means normal.
    pub observed_status: Option<String>,
    /// When that was.
    pub observed_us: Option<i64>,
    /// When our last write to the panel ended.
    pub panel_write_us: Option<i64>,
    /// The panel was told to suspend it then, and not yet to let it go on.
    pub suspend_sent_us: Option<i64>,
    /// When that was seen to be done.
    pub suspended_us: Option<i64>,
    /// When the guard of a sweep last kept it from being suspended.
    pub suspend_held_us: Option<i64>,
    /// When it was not found on the panel.
    pub missing_us: Option<i64>,
    /// When an operator suspended it, until an operator lets it go on.
    pub operator_suspended_us: Option<i64>,
    /// When an operator wanted it gone.
    pub terminated_us: Option<i64>,
    /// Since when its limits on the panel are to follow the order's, while they do not.
    pub respec_us: Option<i64>,
    /// The same of its name.
    pub rename_us: Option<i64>,
    /// Since when its customer wants its install script run again, while that was not done.
    pub reinstall_us: Option<i64>,
    /// The panel was told to do so then, and what came of it is not known.
    pub reinstall_sent_us: Option<i64>,
    /// When the panel had last changed the server by its own clock, before it was told: Unix
    /// seconds. Where that is still so, nothing came of it.
    pub reinstall_over: Option<i64>,
    /// When it first could not be stopped or deleted for its node's sake, of a row of failures,
    /// although its order is over.
    pub node_failing_us: Option<i64>,
    /// When the last of them was.
    pub node_failed_us: Option<i64>,
    /// When it was decided that its node is waited for no longer.
    pub force_sent_us: Option<i64>,
    /// When it was deleted.
    pub deleted_us: Option<i64>,
}

impl Server {
    /// It is on the panel, as far as we know.
    pub fn exists(&self) -> bool {
        self.panel_id.is_some() && self.deleted_us.is_none()
    }

    /// It was ready for its customer at least once.
    pub fn ever_ran(&self) -> bool {
        self.first_running_us.is_some()
    }

    /// Its customer has what they pay for, stopped or not: it was ready once, and is not gone from
    /// the panel.
    pub fn delivered(&self) -> bool {
        self.exists() && self.ever_ran() && self.missing_us.is_none()
    }

    /// It was stopped, and the panel showed since that it runs: somebody let it go on there.
    pub fn let_go(&self) -> bool {
        self.suspended_us.is_some() && self.observed_status.as_deref() == Some("")
    }

    /// A create was sent and nobody knows yet what came of it.
    pub fn in_doubt(&self) -> bool {
        self.create_sent_us.is_some() && self.panel_id.is_none()
    }
}
