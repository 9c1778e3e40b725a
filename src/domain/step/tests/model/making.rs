//! Steps of the model that make a server and have it installed.

use super::{
    super::{NODE, scenario::Create},
    MAX_ATTEMPTS, Outcome, RETRY_US, World, take_first,
};
use crate::domain::{SECOND_US, order::ErrorReason, step::looks_to_settle};

impl World {
    pub(super) fn ensure_owner(&mut self) -> Outcome {
        if self.plot.unresolved {
            return Outcome::Park(ErrorReason::PanelUserUnresolved);
        }
        self.facts.panel_user = Some(7);
        Outcome::Again
    }

    pub(super) fn place(&mut self) -> Outcome {
        self.never(
            self.facts.server.in_doubt(),
            "another place while a create is in doubt",
        );
        let ports = self.facts.order.spec.ports;
        let node = self
            .facts
            .hold_node
            .filter(|_| self.facts.ports >= ports)
            .unwrap_or(NODE);
        self.facts.hold_node = Some(node);
        self.facts.ports = ports;
        self.facts.server.attempt += 1;
        self.facts.server.node_id = Some(node);
        self.facts.server.has_create_request = true;
        Outcome::Again
    }

    pub(super) fn create(&mut self) -> Outcome {
        self.never(self.server || self.lands_us.is_some(), "a second create");
        let server = &mut self.facts.server;
        server.settle_looks = 0;
        match take_first(&mut self.plot.creates, Create::Made) {
            Create::Made => {
                self.made += 1;
                self.found();
            }
            Create::LandsAfter(seconds) => {
                server.create_sent_us = Some(self.now_us);
                self.lands_us = Some(self.now_us + i64::from(seconds) * SECOND_US);
                self.made += 1;
            }
            Create::Vanishes => server.create_sent_us = Some(self.now_us),
            Create::NodeDown => {
                server.has_create_request = false;
                return Outcome::Later(RETRY_US);
            }
            Create::PortTaken => {
                server.has_create_request = false;
                self.facts.ports -= 1;
            }
            Create::RateLimited => return Outcome::Later(SECOND_US),
            Create::Rejected => {
                server.has_create_request = false;
                self.facts.order.attempts += 1;
                if self.facts.order.attempts >= MAX_ATTEMPTS {
                    return Outcome::Park(ErrorReason::PanelRejected);
                }
                return Outcome::Later(RETRY_US);
            }
        }
        Outcome::Again
    }

    /// Stores the server that the panel has.
    fn found(&mut self) {
        self.server = true;
        self.lands_us = None;
        let server = &mut self.facts.server;
        server.panel_id = Some(9);
        server.has_create_request = false;
        server.create_sent_us = None;
        server.settle_looks = 0;
        server.install_since_us = Some(self.now_us);
        server.observed_status = Some("installing".to_owned());
    }

    pub(super) fn settle(&mut self) -> Outcome {
        if self.server
            || self
                .lands_us
                .is_some_and(|lands_us| lands_us <= self.now_us)
        {
            self.found();
            return Outcome::Again;
        }
        let server = &mut self.facts.server;
        server.settle_looks += 1;
        if server.settle_looks >= looks_to_settle(self.facts.billing.over()) {
            server.create_sent_us = None;
            server.settle_looks = 0;
            self.never(self.lands_us.is_some(), "given up before it could land");
        }
        Outcome::Again
    }

    pub(super) fn retry_install(&mut self) -> Outcome {
        let server = &mut self.facts.server;
        if server.reinstalls > 0 {
            return Outcome::Park(ErrorReason::InstallFailed);
        }
        server.reinstalls += 1;
        server.install_since_us = Some(self.now_us);
        server.observed_status = Some("installing".to_owned());
        Outcome::Again
    }

    /// An answer that was lost is a look later.
    pub(super) fn reinstall(&mut self) -> Outcome {
        let server = &mut self.facts.server;
        if server.reinstall_us.is_none() {
            return Outcome::Park(ErrorReason::InstallFailed);
        }
        let stopped = server.suspended_us.or(server.suspend_sent_us).is_some();
        server.reinstall_us = None;
        server.reinstall_sent_us = None;
        server.install_since_us = Some(self.now_us);
        server.observed_status = Some("installing".to_owned());
        self.never(!self.server, "reinstalls nothing");
        self.never(stopped, "lets go on what stands still");
        Outcome::Again
    }
}
