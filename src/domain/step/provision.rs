//! The steps that make a server: the account, the place, the create, the install.

use super::{Step, Timing};
use crate::domain::order::{ErrorReason, Facts, WaitingReason};

/// Makes the server of a confirmed order.
pub(super) fn provision_step(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    let server = &facts.server;
    if !server.exists() {
        if server.deleted_us.is_some() {
            // Never made again by itself: the customer's data went with it.
            return Step::Park(ErrorReason::ServerMissing);
        }
        let read_us = facts.billing.read_us.unwrap_or(now_us);
        if read_us + timing.billing_fresh_us < now_us {
            // It waited long: the subscription may have ended without our hearing of it.
            return Step::SyncBilling;
        }
        if facts.panel_user.is_none() {
            return Step::EnsureOwner;
        }
        let placed = server.attempt > 0
            && server.has_create_request
            && facts.hold_node.is_some()
            && facts.hold_node == server.node_id
            && facts.ports >= facts.order.spec.ports;
        return if placed {
            Step::CreateServer
        } else {
            Step::Place
        };
    }
    install_step(facts, timing, now_us)
}

fn install_step(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    let server = &facts.server;
    if server.ever_ran() && server.suspended_us.or(server.suspend_sent_us).is_some() {
        return Step::Rest(None);
    }
    match server.observed_status.as_deref() {
        Some("install_failed" | "reinstall_failed") => {
            if server.reinstalls == 0 && !server.ever_ran() {
                Step::RetryInstall
            } else {
                Step::Park(ErrorReason::InstallFailed)
            }
        }
        None | Some("installing") => {
            let limit_us = server.install_since_us.unwrap_or(now_us) + timing.install_limit_us;
            if limit_us > now_us {
                // The poll of all servers wakes the order; this is the deadline of the install.
                Step::Wait {
                    until_us: limit_us,
                    reason: Some(WaitingReason::Installing),
                }
            } else if server.ever_ran() {
                Step::Reinstall
            } else {
                // Also after the second chance: nobody may have looked since it ended.
                Step::RetryInstall
            }
        }
        _ => Step::Rest(None),
    }
}
