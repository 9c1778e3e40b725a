//! Which fields of an order its customers and operators see: a change of one of
//! them is an order event and a new version; all else is bookkeeping.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Facts;
use crate::domain::{OrderId, entitlement::SuspensionReason};

/// The visible fields by their name in the API, as text.
pub type Visible = Vec<(&'static str, String)>;

/// One changed field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the field.
    pub what: &'static str,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

/// A change as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Order of recording.
    pub id: i64,
    /// Place in the feed of all orders, once given.
    pub sequence: Option<i64>,
    /// Whose change it was.
    pub order_id: OrderId,
    /// The changed field, or `note`.
    pub what: String,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
    /// Who changed it.
    pub actor: String,
    /// Why.
    pub cause: String,
    /// Ties it to log lines.
    pub trace_id: String,
    /// When.
    pub created_us: i64,
}

impl Facts {
    /// The visible fields, status and server state freshly computed.
    pub fn visible(&self) -> Visible {
        let mut fields = self.stored();
        fields.push(("status", self.status().to_string()));
        fields.push(("server_state", self.server_state().to_string()));
        fields
    }

    /// The visible fields with status and server state as they were stored, to be
    /// compared with [`Facts::visible`] after a change.
    pub fn visible_before(&self) -> Visible {
        let mut fields = self.stored();
        fields.push(("status", self.order.status.to_string()));
        fields.push(("server_state", self.order.server_state.to_string()));
        fields
    }

    fn stored(&self) -> Visible {
        let (order, billing, server) = (&self.order, &self.billing, &self.server);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let number = |value: Option<i64>| value.map(|n| n.to_string()).unwrap_or_default();
        let time = |value: Option<i64>| value.map(rfc3339).unwrap_or_default();
        let manual: Vec<String> = order
            .manual_addons
            .iter()
            .map(|(id, done)| format!("{id}={done}"))
            .collect();
        let reasons: Vec<&str> = self
            .suspension_reasons()
            .iter()
            .map(SuspensionReason::as_str)
            .collect();
        vec![
            ("plan_id", order.plan_id.clone()),
            (
                "pending_plan_id",
                self.wanted_plan().unwrap_or_default().to_owned(),
            ),
            ("price", format!("{} {}", order.price_minor, order.currency)),
            ("server_name", order.server_name.clone()),
            ("addons", order.addons.join(",")),
            ("manual_addons", manual.join(",")),
            (
                "waiting_reason",
                order
                    .waiting_reason
                    .map(|r| r.to_string())
                    .unwrap_or_default(),
            ),
            (
                "error_reason",
                order
                    .error_reason
                    .map(|r| r.to_string())
                    .unwrap_or_default(),
            ),
            ("error_message", order.error_message.clone()),
            ("suspension_reasons", reasons.join(",")),
            ("attempts", order.attempts.to_string()),
            ("stripe_checkout_session_id", text(&billing.session_id)),
            ("stripe_customer_id", text(&billing.customer_id)),
            ("stripe_sub_id", text(&billing.subscription_id)),
            ("subscription_status", text(&billing.subscription_status)),
            (
                "current_period_end_time",
                time(billing.current_period_end_us),
            ),
            ("cancel_time", time(billing.cancel_at_us)),
            ("hold_expire_time", time(billing.session_expires_us)),
            ("node_id", number(self.shown_node().map(i64::from))),
            ("pterodactyl_server_id", number(server.panel_id)),
            ("pterodactyl_server_identifier", text(&server.identifier)),
        ]
    }

    /// The node that the order holds or its server is on.
    pub fn shown_node(&self) -> Option<i32> {
        self.server.node_id.or(self.hold_node)
    }
}

/// A time as people read it.
pub fn rfc3339(us: i64) -> String {
    let nanos = i128::from(us) * 1000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| us.to_string())
}

/// The fields that differ.
pub fn changes(before: &Visible, after: &Visible) -> Vec<Change> {
    before
        .iter()
        .zip(after)
        .filter(|(old, new)| old != new)
        .map(|(old, new)| Change {
            what: new.0,
            from: old.1.clone(),
            to: new.1.clone(),
        })
        .collect()
}
