//! A used server is installed again on its customer's word, and never by itself.

use super::*;

fn observed(word: &str) -> Facts {
    let mut facts = running();
    facts.server.observed_status = Some(word.to_owned());
    facts
}

fn wanted() -> Facts {
    let mut facts = running();
    facts.server.reinstall_us = Some(MADE_US);
    facts
}

#[test]
fn nothing_of_a_used_server_is_installed_by_itself() {
    let late_us = MADE_US + timing().install_limit_us;
    for failed in ["install_failed", "reinstall_failed"] {
        // Shown, and its customer's: it ran.
        let step = plan(&observed(failed), late_us);
        assert_eq!(step, Step::Park(ErrorReason::InstallFailed), "{failed}");
    }
    for word in ["suspended", ""] {
        assert_eq!(plan(&observed(word), late_us), Step::Rest(None), "{word}");
    }
}

#[test]
fn one_under_way_is_waited_for_and_then_looked_at() {
    let mut facts = observed("installing");
    facts.server.install_since_us = Some(MADE_US);
    let late_us = MADE_US + timing().install_limit_us;
    assert_eq!(
        plan(&facts, MADE_US),
        Step::Wait {
            until_us: late_us,
            reason: Some(WaitingReason::Installing)
        }
    );
    assert_eq!(plan(&facts, late_us), Step::Reinstall);
}

#[test]
fn it_comes_after_all_that_is_more_urgent() {
    assert_eq!(plan(&wanted(), MADE_US), Step::Reinstall);
    let mut failed = wanted();
    failed.server.observed_status = Some("reinstall_failed".to_owned());
    assert_eq!(plan(&failed, MADE_US), Step::Reinstall);
    let mut renamed = wanted();
    renamed.server.rename_us = Some(MADE_US);
    assert_eq!(plan(&renamed, MADE_US), Step::ApplySpec);
    let mut stopped = wanted();
    stopped.server.operator_suspended_us = Some(MADE_US);
    assert_eq!(plan(&stopped, MADE_US), Step::Suspend);
    // It would let it go on.
    stopped.server.suspend_sent_us = Some(MADE_US);
    stopped.server.suspended_us = Some(MADE_US);
    stopped.server.observed_status = Some("suspended".to_owned());
    assert_eq!(plan(&stopped, MADE_US), Step::Rest(None));
    // Somebody let it go on at the panel.
    stopped.server.observed_status = Some(String::new());
    assert_eq!(plan(&stopped, MADE_US), Step::Suspend);
    let mut parked = wanted();
    parked.order.error_reason = Some(ErrorReason::PanelRejected);
    assert_eq!(plan(&parked, MADE_US), Step::Rest(None));
}

/// One that lands late lets a server go on that was stopped meanwhile.
#[test]
fn what_came_of_one_is_known_before_the_server_is_stopped() {
    let mut facts = wanted();
    facts.server.reinstall_sent_us = Some(MADE_US);
    facts.server.operator_suspended_us = Some(MADE_US);
    assert_eq!(plan(&facts, MADE_US), Step::Reinstall);
    // What is charged on waits for nothing.
    facts.billing.wish = Some(EndWish::Now);
    assert_eq!(plan(&facts, MADE_US), Step::CancelSubscription);
    facts.billing.wish = None;
    facts.order.error_reason = Some(ErrorReason::ServerMissing);
    assert_eq!(plan(&facts, MADE_US), Step::Suspend);
}
