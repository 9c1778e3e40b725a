//! Webhook bodies written after Stripe's own, each in both renderings: what it sent up to
//! acacia, and what it sends since basil. Nothing here comes from the stand-in.

use serde_json::{Value, json};

mod objects;

pub use objects::{
    Rendering,
    Rendering::{New, Old},
};
pub use objects::{envelope, with_strangers};
use objects::{invoice, merge, session, subscription};

/// The ids of one purchase.
pub struct Ids {
    pub order: String,
    pub session: String,
    pub subscription: String,
    pub customer: String,
    pub invoice: String,
}

/// What must become of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Stored, and its order looks at Stripe.
    Applied,
    /// Stored, and nothing else.
    Ignored,
    /// Refused as no event that we take.
    Refused,
}

/// One row of the table.
pub struct Row {
    pub name: String,
    pub event: Value,
    pub fate: Fate,
}

/// The whole table: every type that names its order, in 2 renderings, then whatever may be odd of
/// them. Those about money name none: see [`super::money`].
pub fn table(ids: &Ids) -> Vec<Row> {
    let mut rows = Vec::new();
    for rendering in [Old, New] {
        let mut row = |what: &str, fate: Fate, kind: &str, object: Value| {
            let name = format!("{rendering:?}, {kind}: {what}");
            // An id of its own: none is a duplicate of another.
            let id = format!("evt_{rendering:?}_{}", rows.len());
            let event = envelope(&id, kind, rendering, object);
            rows.push(Row { name, event, fate });
        };
        plain(ids, rendering, &mut row);
        odd_values(ids, rendering, &mut row);
        odd_shapes(ids, rendering, &mut row);
        long_lists(ids, rendering, &mut row);
        not_ours(ids, rendering, &mut row);
    }
    rows.extend(odd_envelopes(ids));
    rows
}

type Add<'a> = dyn FnMut(&str, Fate, &str, Value) + 'a;

const COMPLETED: &str = "checkout.session.completed";
const UPDATED: &str = "customer.subscription.updated";
const PAID: &str = "invoice.paid";

fn plain(ids: &Ids, rendering: Rendering, row: &mut Add<'_>) {
    let applied = Fate::Applied;
    row("as it is", applied, COMPLETED, session(ids));
    for kind in ["async_payment_succeeded", "async_payment_failed", "expired"] {
        row(
            "as it is",
            applied,
            &format!("checkout.session.{kind}"),
            session(ids),
        );
    }
    for kind in ["created", "updated", "deleted", "paused", "resumed"] {
        let kind = format!("customer.subscription.{kind}");
        row("as it is", applied, &kind, subscription(ids, rendering));
    }
    for kind in ["paid", "payment_failed", "payment_action_required"] {
        let kind = format!("invoice.{kind}");
        row("as it is", applied, &kind, invoice(ids, rendering));
    }
}

fn odd_values(ids: &Ids, rendering: Rendering, row: &mut Add<'_>) {
    let applied = Fate::Applied;
    let mut changed = session(ids);
    changed["status"] = json!("dreaming");
    changed["payment_status"] = json!("half_paid");
    changed["mode"] = json!("barter");
    row("unknown words", applied, COMPLETED, changed);
    let mut changed = subscription(ids, rendering);
    changed["status"] = json!("hibernating");
    changed["collection_method"] = json!("by_pigeon");
    row("unknown words", applied, UPDATED, changed);
    let mut changed = invoice(ids, rendering);
    changed["status"] = json!("pondered");
    changed["billing_reason"] = json!("full_moon");
    row("unknown words", applied, PAID, changed);

    row(
        "unknown fields",
        applied,
        COMPLETED,
        with_strangers(session(ids)),
    );
    row(
        "unknown fields",
        applied,
        UPDATED,
        with_strangers(subscription(ids, rendering)),
    );
    row(
        "unknown fields",
        applied,
        PAID,
        with_strangers(invoice(ids, rendering)),
    );
}

fn odd_shapes(ids: &Ids, rendering: Rendering, row: &mut Add<'_>) {
    let applied = Fate::Applied;
    // Only the lines say whose it is.
    let mut orphan = invoice(ids, rendering);
    for link in ["parent", "subscription", "subscription_details"] {
        orphan[link] = Value::Null;
    }
    row("null parent", applied, PAID, orphan.clone());
    orphan["parent"] = json!({
        "type": "quote_details",
        "quote_details": {"quote": "qt_1"},
        "subscription_details": {"subscription": "sub_filler", "metadata": null},
    });
    row("the parent is a quote", applied, PAID, orphan);

    let mut both = invoice(ids, Old);
    merge(&mut both, &invoice(ids, New));
    row("both renderings at once", applied, PAID, both);

    let mut expanded = session(ids);
    expanded["subscription"] = subscription(ids, rendering);
    expanded["customer"] = json!({"id": ids.customer, "object": "customer", "deleted": true});
    row("objects instead of ids", applied, COMPLETED, expanded);

    let mut unnamed = session(ids);
    unnamed["metadata"] = json!({});
    row(
        "by client_reference_id alone",
        applied,
        COMPLETED,
        unnamed.clone(),
    );
    unnamed["client_reference_id"] = Value::Null;
    row("by its own id alone", applied, COMPLETED, unnamed);
    let mut unnamed = subscription(ids, rendering);
    unnamed["metadata"] = Value::Null;
    row("by its own id alone", applied, UPDATED, unnamed);

    let mut sparse = subscription(ids, rendering);
    sparse["items"] = Value::Null;
    sparse["latest_invoice"] = Value::Null;
    row("null items", applied, UPDATED, sparse);
}

fn long_lists(ids: &Ids, rendering: Rendering, row: &mut Add<'_>) {
    const LENGTH: usize = 200;
    let mut long = invoice(ids, rendering);
    let line = long["lines"]["data"][0].clone();
    let named = |at: usize| {
        let mut line = line.clone();
        line["id"] = json!(format!("il_{at}"));
        line
    };
    long["lines"]["data"] = (0..LENGTH).map(named).collect();
    long["lines"]["total_count"] = json!(LENGTH);
    row("200 lines", Fate::Applied, PAID, long.clone());
    // The last line is the only one that names a subscription.
    for link in ["parent", "subscription", "subscription_details"] {
        long[link] = Value::Null;
        for at in 0..LENGTH - 1 {
            long["lines"]["data"][at][link] = Value::Null;
        }
    }
    row("200 lines, the last one ours", Fate::Applied, PAID, long);
    let mut long = subscription(ids, rendering);
    let item = long["items"]["data"][0].clone();
    long["items"]["data"] = (0..LENGTH).map(|_| item.clone()).collect();
    row("200 items", Fate::Applied, UPDATED, long);
}

fn not_ours(ids: &Ids, rendering: Rendering, row: &mut Add<'_>) {
    let stranger = Ids {
        order: "A-1042".to_owned(),
        session: "cs_live_elsewhere".to_owned(),
        subscription: format!("sub_{}", "x".repeat(200)),
        customer: "cus_elsewhere".to_owned(),
        invoice: "in_elsewhere".to_owned(),
    };
    row(
        "another shop's",
        Fate::Ignored,
        COMPLETED,
        session(&stranger),
    );
    row(
        "another shop's",
        Fate::Ignored,
        UPDATED,
        subscription(&stranger, rendering),
    );
    row(
        "another shop's",
        Fate::Ignored,
        PAID,
        invoice(&stranger, rendering),
    );
    row(
        "a type of tomorrow",
        Fate::Ignored,
        "invoice.dreamt_of",
        invoice(ids, rendering),
    );
    row(
        "an object of tomorrow",
        Fate::Ignored,
        COMPLETED,
        json!({"object": "checkout.dream"}),
    );
}

fn odd_envelopes(ids: &Ids) -> Vec<Row> {
    let base = |id: &str| envelope(id, COMPLETED, New, session(ids));
    let row = |name: &str, fate, event| Row {
        name: format!("envelope: {name}"),
        event,
        fate,
    };
    let mut unversioned = base("evt_unversioned");
    unversioned["api_version"] = Value::Null;
    let mut sparse = base("evt_sparse");
    sparse["request"] = Value::Null;
    sparse["data"]["previous_attributes"] = Value::Null;
    let mut connected = base("evt_connected");
    connected["account"] = json!("acct_1");
    connected["context"] = json!({"of": ["tomorrow"]});
    let mut livemode = base("evt_livemode");
    livemode["livemode"] = json!(true);
    let mut empty = base("evt_empty");
    empty["data"] = Value::Null;
    let mut timeless = base("evt_timeless");
    timeless["created"] = json!(1.5);
    let thin = json!({
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-11-22T10:00:00.000Z",
        "livemode": false,
        "related_object": {
            "id": ids.subscription, "type": "subscription",
            "url": format!("/v1/subscriptions/{}", ids.subscription),
        },
    });
    let mut thin_snapshot = base("evt_thin_snapshot");
    thin_snapshot["created"] = json!("2026-11-22T10:00:00.000Z");
    vec![
        row("no version", Fate::Applied, unversioned),
        row("nulls", Fate::Applied, sparse),
        row("of a connected account", Fate::Applied, connected),
        row("of the other mode", Fate::Ignored, livemode),
        row("no data", Fate::Ignored, empty),
        row("half a second", Fate::Refused, timeless),
        row("thin", Fate::Refused, thin),
        row("thin under a snapshot's name", Fate::Refused, thin_snapshot),
    ]
}

/// A subscription that was renewed, as one event of many.
pub fn renewal(id: &str, rendering: Rendering, ids: &Ids) -> Value {
    envelope(id, UPDATED, rendering, subscription(ids, rendering))
}
