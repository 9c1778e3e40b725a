//! Orders, their events and their customers.

use super::{
    catalog::{item_type_to, term_to},
    time,
};
use crate::{
    domain::{
        catalog::{ItemType, Term},
        entitlement::SuspensionReason,
        order::{Facts, ServerState, Status, visible::Event},
        profile::{Problem, Profile},
    },
    rpc::proto,
};

/// A status as it is sent.
pub fn order_status_to(status: Status) -> proto::OrderStatus {
    match status {
        Status::Pending => proto::OrderStatus::Pending,
        Status::Paid => proto::OrderStatus::Paid,
        Status::Provisioning => proto::OrderStatus::Provisioning,
        Status::Provisioned => proto::OrderStatus::Provisioned,
        Status::Error => proto::OrderStatus::Error,
        Status::Canceled => proto::OrderStatus::Canceled,
    }
}

/// A status as it was sent; `None` where it is unspecified or unknown.
pub fn order_status_from(value: i32) -> Option<Status> {
    Status::ALL
        .iter()
        .copied()
        .find(|status| order_status_to(*status) as i32 == value)
}

/// A server state as it is sent.
pub fn server_state_to(state: ServerState) -> proto::ServerState {
    match state {
        ServerState::None => proto::ServerState::None,
        ServerState::Installing => proto::ServerState::Installing,
        ServerState::InstallFailed => proto::ServerState::InstallFailed,
        ServerState::Running => proto::ServerState::Running,
        ServerState::Suspended => proto::ServerState::Suspended,
        ServerState::Deleted => proto::ServerState::Deleted,
    }
}

/// Why a server is suspended, as it is sent.
pub fn suspension_reason_to(reason: SuspensionReason) -> proto::SuspensionReason {
    match reason {
        SuspensionReason::Billing => proto::SuspensionReason::Billing,
        SuspensionReason::Dispute => proto::SuspensionReason::Dispute,
        SuspensionReason::Operator => proto::SuspensionReason::Operator,
    }
}

/// An order as it is sent.
pub fn order_to(facts: &Facts) -> proto::Order {
    let (order, billing, server) = (&facts.order, &facts.billing, &facts.server);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let payable = billing.session_status.as_deref() == Some("open");
    let manual = order.manual_addons.iter();
    proto::Order {
        id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        plan_id: order.plan_id.clone(),
        pending_plan_id: facts.wanted_plan().unwrap_or_default().to_owned(),
        item_type: ItemType::parse(&order.item_type).map_or(0, |t| item_type_to(t) as i32),
        term: Term::parse(&order.term).map_or(0, |term| term_to(term) as i32),
        region: order.region.clone(),
        server_name: order.server_name.clone(),
        addons: order.addons.clone(),
        status: order_status_to(order.status) as i32,
        server_state: server_state_to(order.server_state) as i32,
        suspension_reasons: facts
            .suspension_reasons()
            .iter()
            .map(|reason| suspension_reason_to(reason) as i32)
            .collect(),
        price: Some(proto::Money {
            amount_minor: order.price_minor,
            currency: order.currency.clone(),
        }),
        waiting_reason: order
            .waiting_reason
            .map(|r| r.to_string())
            .unwrap_or_default(),
        error_reason: order
            .error_reason
            .map(|r| r.to_string())
            .unwrap_or_default(),
        error_message: order.error_message.clone(),
        stripe_checkout_session_id: text(&billing.session_id),
        stripe_customer_id: text(&billing.customer_id),
        stripe_sub_id: text(&billing.subscription_id),
        subscription_status: text(&billing.subscription_status),
        current_period_end_time: billing.current_period_end_us.map(time),
        cancel_time: billing.cancel_at_us.map(time),
        checkout_url: billing
            .session_url
            .clone()
            .filter(|_| payable)
            .unwrap_or_default(),
        hold_expire_time: billing.session_expires_us.filter(|_| payable).map(time),
        node_id: facts.shown_node().unwrap_or_default(),
        pterodactyl_server_id: server.panel_id.unwrap_or_default(),
        pterodactyl_server_identifier: text(&server.identifier),
        referral_code: order.referral_code.clone(),
        manual_addons: manual
            .map(|(id, done)| proto::ManualAddon {
                addon_id: id.clone(),
                done: *done,
            })
            .collect(),
        attempts: order.attempts,
        next_attempt_time: order.due_us.map(time),
        version: order.version,
        create_time: Some(time(order.created_us)),
        update_time: Some(time(order.updated_us)),
    }
}

/// A change as it is sent.
pub fn event_to(event: Event) -> proto::OrderEvent {
    proto::OrderEvent {
        sequence: event.sequence.unwrap_or_default(),
        order_id: event.order_id.to_string(),
        what: event.what,
        from: event.from,
        to: event.to,
        actor: event.actor,
        cause: event.cause,
        trace_id: event.trace_id,
        create_time: Some(time(event.created_us)),
    }
}

/// A profile as it is sent.
pub fn profile_to(profile: Profile) -> proto::Profile {
    let problem = |problem: Option<Problem>| problem.map(|it| it.to_string()).unwrap_or_default();
    proto::Profile {
        user_id: profile.user_id.to_string(),
        email: profile.email,
        email_verified: profile.email_verified,
        first_name: profile.first_name,
        last_name: profile.last_name,
        stripe_customer_id: profile.stripe_customer_id.unwrap_or_default(),
        create_time: Some(time(profile.created_us)),
        update_time: Some(time(profile.updated_us)),
        stripe_problem: problem(profile.stripe_problem),
        panel_problem: problem(profile.panel_problem),
        delete_time: profile.deleted_us.map(time),
    }
}
