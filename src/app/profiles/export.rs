//! ExportProfile: all that is kept of a user, of one moment, as one JSON document.
//!
//! Names of fields are part of the API and never change their meaning. Rows are read and written
//! page by page: only the document itself is held, and it has a limit. Left out is what gives
//! power over something: pages to pay on, and the values that a customer chose for the server.

use serde_json::{Value, json};

use super::absent;
use crate::{
    app::{App, Caller, Error},
    db::{
        Tx, accounts,
        affiliates::{self, commissions},
        disputes, order_events,
        orders::{self, Filter},
        profiles, refunds,
        stripe_events::inbox,
    },
    domain::{
        self, OrderId, SECOND_US, UserId,
        affiliate::Affiliate,
        lenience::Lenience,
        order::{Facts, visible::rfc3339},
        profile::{Account, Profile},
    },
};

const METHOD: &str = "OrderService/ExportProfile";
const FORMAT: &str = "spawnpoint.profile/1";
/// Orders, and events of one, read at a time.
const ORDERS: u64 = 20;
const EVENTS: u64 = 500;
/// No user has so much; a document that grew on would take the process with it.
const LARGEST: usize = 32 << 20;

/// The document of a user.
pub async fn export_profile(app: &App, caller: &Caller, user_id: UserId) -> Result<Vec<u8>, Error> {
    let scope = caller.may(METHOD)?;
    let now_us = app.db.now().await?;
    app.db
        .snapshot(|tx| async move {
            let profile = profiles::find(&*tx, user_id).await?;
            let profile = profile.filter(|profile| scope.covers(profile.user_id));
            let profile = profile.ok_or_else(|| absent(user_id))?;
            let account = accounts::find(&*tx, user_id).await?;
            let affiliate = affiliates::find(&*tx, user_id).await?;
            let mut document = Document::default();
            document.open(&json!({
                "format": FORMAT,
                "export_time": rfc3339(now_us),
                "profile": profile_of(&profile),
                "panel_account": account.as_ref().map(account_of),
                "affiliate": affiliate.as_ref().map(affiliate_of),
            }))?;
            document.list("commissions");
            commissions_of(&tx, user_id, &mut document).await?;
            document.end_list();
            document.list("orders");
            all_orders(&tx, user_id, &mut document).await?;
            document.end_list();
            document.close();
            Ok(document.bytes)
        })
        .await
}

fn affiliate_of(affiliate: &Affiliate) -> Value {
    json!({
        "code": affiliate.code,
        "clicks": affiliate.clicks,
        "signups": affiliate.signups,
        "credits_cents": affiliate.credits_minor,
    })
}

async fn commissions_of(tx: &Tx, user_id: UserId, document: &mut Document) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = commissions::list(&**tx, user_id, after, EVENTS).await?;
        for one in &page {
            document.next();
            document.value(&json!({
                "order_id": one.order_id.to_string(),
                "invoice_id": one.invoice_id,
                "amount_minor": one.amount.amount_minor,
                "currency": one.amount.currency,
                "state": one.state.as_str(),
                "time": rfc3339(one.seen_us),
            }))?;
        }
        match page.last() {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

async fn all_orders(tx: &Tx, user_id: UserId, document: &mut Document) -> Result<(), Error> {
    let filter = Filter {
        user_id: Some(user_id),
        ..Filter::default()
    };
    let mut after = None;
    loop {
        let page = orders::list(&**tx, &filter, after, ORDERS).await?;
        for facts in &page {
            let id = facts.order.id;
            document.next();
            document.open(&order_of(tx, facts).await?)?;
            document.list("stripe_events");
            stripe_events_of(tx, id, document).await?;
            document.end_list();
            document.list("events");
            events_of(tx, id, document).await?;
            document.end_list();
            document.close();
        }
        match page.last() {
            Some(last) => after = Some(last.order.id),
            None => return Ok(()),
        }
    }
}

async fn events_of(tx: &Tx, id: OrderId, document: &mut Document) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = order_events::list(&**tx, id, after, EVENTS).await?;
        for event in &page {
            document.next();
            document.value(&json!({
                "time": rfc3339(event.created_us),
                "what": event.what,
                "from": event.from,
                "to": event.to,
                "actor": event.actor,
                "cause": event.cause,
            }))?;
        }
        match page.last() {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

async fn stripe_events_of(tx: &Tx, id: OrderId, document: &mut Document) -> Result<(), Error> {
    let filter = inbox::Filter {
        order_id: Some(id),
        ..inbox::Filter::default()
    };
    let mut after: Option<(i64, String)> = None;
    loop {
        let behind = after.as_ref().map(|(us, id)| (*us, id.as_str()));
        let page = inbox::list(&**tx, &filter, behind, EVENTS).await?;
        for event in &page {
            document.next();
            document.value(&json!({
                "id": event.id,
                "type": event.kind,
                "create_time": rfc3339(event.created_us),
                "receive_time": rfc3339(event.received_us),
            }))?;
        }
        match page.last() {
            Some(last) => after = Some((last.received_us, last.id.clone())),
            None => return Ok(()),
        }
    }
}

fn time(us: Option<i64>) -> Option<String> {
    us.map(rfc3339)
}

fn profile_of(profile: &Profile) -> Value {
    json!({
        "user_id": profile.user_id.to_string(),
        "email": profile.email,
        "email_verified": profile.email_verified,
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "stripe_customer_id": profile.stripe_customer_id,
        "create_time": rfc3339(profile.created_us),
        "update_time": rfc3339(profile.updated_us),
        "delete_time": time(profile.deleted_us),
    })
}

fn account_of(account: &Account) -> Value {
    json!({
        "pterodactyl_user_id": account.panel_id,
        "panel_username": account.username,
        "origin": account.origin.as_str(),
        "last_sync_time": rfc3339(account.synced_us),
    })
}

fn lenience_of(sold: Lenience) -> Value {
    json!({
        "grace_seconds": sold.patience.grace_us / SECOND_US,
        "retention_seconds": sold.patience.retention_us / SECOND_US,
        "disputes": sold.disputes.as_str(),
    })
}

async fn order_of(tx: &Tx, facts: &Facts) -> Result<Value, Error> {
    let (order, id) = (&facts.order, facts.order.id);
    let chosen = orders::environment(&**tx, id).await?;
    let names: Vec<&String> = chosen.keys().collect();
    let manual = order.manual_addons.iter();
    let manual: Vec<Value> = manual
        .map(|(id, done)| json!({"addon_id": id, "done": done}))
        .collect();
    Ok(json!({
        "id": id.to_string(),
        "plan_id": order.plan_id,
        "pending_plan_id": facts.wanted_plan(),
        "item_type": order.item_type,
        "term": order.term,
        "region": order.region,
        "server_name": order.server_name,
        "addons": order.addons,
        "manual_addons": manual,
        "price": {"amount_minor": order.price_minor, "currency": order.currency},
        "lenience": order.lenience.map(lenience_of),
        "status": order.status.as_str(),
        "server_state": order.server_state.as_str(),
        "referral_code": order.referral_code,
        "environment_names": names,
        "request_id": order.request_id.to_string(),
        "create_time": rfc3339(order.created_us),
        "update_time": rfc3339(order.updated_us),
        "billing": billing_of(facts),
        "server": server_of(facts),
        "refunds": refunds_of(tx, id).await?,
        "disputes": disputes_of(tx, id).await?,
    }))
}

fn billing_of(facts: &Facts) -> Value {
    let billing = &facts.billing;
    json!({
        "stripe_checkout_session_id": billing.session_id,
        "stripe_customer_id": billing.customer_id,
        "stripe_sub_id": billing.subscription_id,
        "session_status": billing.session_status,
        "payment_status": billing.payment_status,
        "subscription_status": billing.subscription_status,
        "pay_confirm_time": time(billing.confirmed_at_us),
        "current_period_end_time": time(billing.current_period_end_us),
        "cancel_time": time(billing.cancel_at_us),
        "past_due_time": time(billing.past_due_since_us),
        "end_time": time(billing.ended_at_us),
    })
}

fn server_of(facts: &Facts) -> Value {
    let server = &facts.server;
    json!({
        "pterodactyl_server_id": server.panel_id,
        "pterodactyl_server_identifier": server.identifier,
        "uuid": server.uuid,
        "node_id": facts.shown_node(),
        "first_run_time": time(server.first_running_us),
        "suspend_time": time(server.suspended_us),
        "delete_time": time(server.deleted_us),
    })
}

async fn refunds_of(tx: &Tx, id: OrderId) -> Result<Vec<Value>, Error> {
    let refunds = refunds::of_order(&**tx, id).await?;
    let told = refunds.into_iter().map(|refund| {
        json!({
            "stripe_checkout_session_id": refund.session_id,
            "reason": refund.reason.as_str(),
            "decide_time": rfc3339(refund.decided_us),
            "refund_time": time(refund.done_us),
            "amount_minor": refund.done.amount_minor,
            "currency": refund.done.currency,
            "stripe_refund_ids": refund.done.refund_ids,
        })
    });
    Ok(told.collect())
}

async fn disputes_of(tx: &Tx, id: OrderId) -> Result<Vec<Value>, Error> {
    let disputes = disputes::list(&**tx, id).await?;
    let told = disputes.into_iter().map(|dispute| {
        json!({
            "id": dispute.last.dispute_id,
            "invoice_id": dispute.invoice_id,
            "status": dispute.last.status,
            "amount_minor": dispute.last.amount_minor,
            "currency": dispute.last.currency,
            "note_time": rfc3339(dispute.noted_us),
        })
    });
    Ok(told.collect())
}

/// JSON that is written as it is read.
#[derive(Default)]
struct Document {
    bytes: Vec<u8>,
}

impl Document {
    /// Writes an object and leaves it open for lists.
    fn open(&mut self, object: &Value) -> Result<(), Error> {
        self.value(object)?;
        self.bytes.pop();
        Ok(())
    }

    fn close(&mut self) {
        self.bytes.push(b'}');
    }

    /// Begins a list in the open object, which has other fields already.
    fn list(&mut self, name: &str) {
        self.bytes.extend(format!(",\"{name}\":[").into_bytes());
    }

    fn end_list(&mut self) {
        self.bytes.push(b']');
    }

    /// Before each element of the open list.
    fn next(&mut self) {
        if self.bytes.last() != Some(&b'[') {
            self.bytes.push(b',');
        }
    }

    fn value(&mut self, value: &Value) -> Result<(), Error> {
        self.bytes.extend(value.to_string().into_bytes());
        if self.bytes.len() > LARGEST {
            return Err(domain::Error::BadRequest {
                reason: "MESSAGE_TOO_LARGE",
                message: "the document is larger than 32 MiB".to_owned(),
                metadata: Vec::new(),
            }
            .into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_piece_by_piece_is_one_document() {
        let mut document = Document::default();
        document.open(&json!({"a": [1]})).unwrap();
        document.list("b");
        for name in ["x", "y"] {
            document.next();
            document.open(&json!({"name": name})).unwrap();
            document.list("c");
            document.end_list();
            document.close();
        }
        document.end_list();
        document.close();
        let read: Value = serde_json::from_slice(&document.bytes).unwrap();
        let wanted = json!({"a": [1], "b": [{"name": "x", "c": []}, {"name": "y", "c": []}]});
        assert_eq!(read, wanted);
    }

    #[test]
    fn a_document_has_an_end() {
        let mut document = Document::default();
        let piece = json!("x".repeat(LARGEST / 2));
        document.value(&piece).unwrap();
        let refused = document.value(&piece).unwrap_err();
        assert!(matches!(refused, Error::Refused(error) if error.reason() == "MESSAGE_TOO_LARGE"));
    }
}
