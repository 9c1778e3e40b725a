//! One row per body: where the hints are found, old and new renderings, odd ones.

use serde_json::{Value, json};

use super::bodies::{charge, dispute, invoice_new, invoice_old, session, subscription};
use super::{subject, with, without};
use crate::stripe::events::Subject;

const DONE: &str = "checkout.session.completed";
const UPDATED: &str = "customer.subscription.updated";
const FAILED: &str = "invoice.payment_failed";
const PAID: &str = "invoice.paid";

/// Name, event type, object, and the hints as [`shown`] puts them.
type Row = (&'static str, &'static str, Value, &'static str);

/// Order, session, subscription, customer, invoice, payment status, status; then what else
/// there is: payment, charge, dispute, and how much went back.
fn shown(subject: &Subject) -> String {
    let Subject {
        order_ref,
        session,
        subscription,
        customer,
        invoice,
        payment,
        charge,
        dispute,
        refund,
        refunded,
        payment_status,
        status,
    } = subject;
    let always = [
        order_ref,
        session,
        subscription,
        customer,
        invoice,
        payment_status,
        status,
    ]
    .map(|hint| hint.as_deref().unwrap_or("-"));
    let refunded = refunded.map(|whole| if whole { "whole" } else { "part" });
    let money = [
        payment.as_deref(),
        charge.as_deref(),
        dispute.as_deref(),
        refund.as_deref(),
        refunded,
    ];
    let money = money.into_iter().flatten();
    always
        .into_iter()
        .chain(money)
        .collect::<Vec<_>>()
        .join(" ")
}

fn check(rows: Vec<Row>) {
    for (name, kind, object, expected) in rows {
        assert_eq!(shown(&subject(kind, object)), expected, "{name}");
    }
}

fn bare(object: Value) -> Value {
    without(object, "object")
}

#[test]
fn of_sessions() {
    const WHOLE: &str = "order-1 cs_test_1 sub_1 cus_1 in_1 paid complete";
    const BY_REFERENCE: &str = "ref-1 cs_test_1 sub_1 cus_1 in_1 paid complete";
    let changed = |pointer: &str, value: Value| with(session(), pointer, value);
    let stranger = with(
        changed("/metadata", json!({})),
        "/client_reference_id",
        Value::Null,
    );
    let expanded = changed("/subscription", json!({"id": "sub_1", "status": "x"}));
    let expanded = with(
        expanded,
        "/customer",
        json!({"id": "cus_1", "deleted": true}),
    );
    let expanded = with(expanded, "/invoice", json!({"id": "in_1"}));
    let expired = json!({
        "id": "cs_test_1", "object": "checkout.session", "status": "expired", "url": null,
        "payment_status": "unpaid", "customer": null, "subscription": null, "invoice": null,
        "client_reference_id": "ref-1",
    });
    let long = json!("x".repeat(256));
    check(vec![
        ("whole", DONE, session(), WHOLE),
        (
            "delayed method",
            "checkout.session.async_payment_succeeded",
            session(),
            WHOLE,
        ),
        (
            "delayed method failed",
            "checkout.session.async_payment_failed",
            session(),
            WHOLE,
        ),
        ("expanded", DONE, expanded, WHOLE),
        ("no name of its own", DONE, bare(session()), WHOLE),
        (
            "no order id",
            DONE,
            changed("/metadata", json!({})),
            BY_REFERENCE,
        ),
        (
            "null metadata",
            DONE,
            changed("/metadata", Value::Null),
            BY_REFERENCE,
        ),
        (
            "null order id",
            DONE,
            changed("/metadata/order_id", Value::Null),
            BY_REFERENCE,
        ),
        (
            "empty order id",
            DONE,
            changed("/metadata/order_id", json!("")),
            BY_REFERENCE,
        ),
        (
            "number for order id",
            DONE,
            changed("/metadata/order_id", json!(5)),
            BY_REFERENCE,
        ),
        (
            "long order id",
            DONE,
            changed("/metadata/order_id", long),
            BY_REFERENCE,
        ),
        (
            "not ours",
            DONE,
            stranger,
            "- cs_test_1 sub_1 cus_1 in_1 paid complete",
        ),
        (
            "expired",
            "checkout.session.expired",
            expired,
            "ref-1 cs_test_1 - - - unpaid expired",
        ),
        (
            "list for customer",
            DONE,
            changed("/customer", json!([1, 2])),
            "order-1 cs_test_1 sub_1 - in_1 paid complete",
        ),
    ]);
}

#[test]
fn of_subscriptions() {
    const WHOLE: &str = "order-1 - sub_1 cus_1 - - active";
    let changed = |pointer: &str, value: Value| with(subscription(true), pointer, value);
    let canceled = changed("/status", json!("canceled"));
    let ended = "order-1 - sub_1 cus_1 - - canceled";
    let stranger = changed("/metadata", json!({"a": "b"}));
    check(vec![
        ("new", UPDATED, subscription(true), WHOLE),
        ("old", UPDATED, subscription(false), WHOLE),
        (
            "no name of its own, new",
            UPDATED,
            bare(subscription(true)),
            WHOLE,
        ),
        (
            "no name of its own, old",
            UPDATED,
            bare(subscription(false)),
            WHOLE,
        ),
        (
            "customer expanded",
            UPDATED,
            changed("/customer", json!({"id": "cus_1"})),
            WHOLE,
        ),
        ("deleted", "customer.subscription.deleted", canceled, ended),
        ("not ours", UPDATED, stranger, "- - sub_1 cus_1 - - active"),
        (
            "new word",
            UPDATED,
            changed("/status", json!("zzz")),
            "order-1 - sub_1 cus_1 - - zzz",
        ),
    ]);
}

#[test]
fn of_invoices_in_the_new_rendering() {
    const WHOLE: &str = "order-1 - sub_1 cus_1 in_1 - open";
    const UNLINKED: &str = "- - - cus_1 in_1 - open";
    const BY_LINE: &str = "- - sub_2 cus_1 in_1 - open";
    let changed = |pointer: &str, value: Value| with(invoice_new(), pointer, value);
    let expanded = changed(
        "/parent/subscription_details/subscription",
        json!({"id": "sub_1"}),
    );
    let quote = changed("/parent/type", json!("quote_details"));
    let lineless_quote = with(quote.clone(), "/lines/data", json!([]));
    let orphan = changed("/parent", Value::Null);
    let lines = |line: Value| with(orphan.clone(), "/lines/data", json!([{"id": "il_0"}, line]));
    let by_parent = lines(json!({"parent": {"type": "subscription_item_details",
        "subscription_item_details": {"subscription": "sub_2"}}}));
    let own = changed("/metadata", json!({"order_id": "order-9"}));
    check(vec![
        ("failed", FAILED, invoice_new(), WHOLE),
        ("paid", PAID, invoice_new(), WHOLE),
        ("no name of its own", PAID, bare(invoice_new()), WHOLE),
        ("expanded", PAID, expanded, WHOLE),
        (
            "parent without type",
            PAID,
            changed("/parent/type", Value::Null),
            WHOLE,
        ),
        (
            "old place too",
            PAID,
            changed("/subscription", json!("sub_old")),
            WHOLE,
        ),
        (
            "own metadata first",
            PAID,
            own,
            "order-9 - sub_1 cus_1 in_1 - open",
        ),
        ("of a quote", PAID, lineless_quote, UNLINKED),
        (
            "of a quote, its line names one",
            PAID,
            quote,
            "- - sub_1 cus_1 in_1 - open",
        ),
        ("line's parent names one", PAID, by_parent, BY_LINE),
        (
            "line names one",
            PAID,
            lines(json!({"subscription": "sub_2"})),
            BY_LINE,
        ),
        (
            "line has it expanded",
            PAID,
            lines(json!({"subscription": {"id": "sub_2"}})),
            BY_LINE,
        ),
        (
            "null lines",
            PAID,
            with(orphan.clone(), "/lines", Value::Null),
            UNLINKED,
        ),
        (
            "lines are no list",
            PAID,
            with(orphan.clone(), "/lines", json!({"data": "x"})),
            UNLINKED,
        ),
        (
            "odd lines",
            PAID,
            with(orphan.clone(), "/lines/data", json!([1, null, "x"])),
            UNLINKED,
        ),
    ]);
}

#[test]
fn of_invoices_in_the_old_rendering() {
    const WHOLE: &str = "order-1 - sub_1 cus_1 in_1 - open";
    let changed = |pointer: &str, value: Value| with(invoice_old(), pointer, value);
    let expanded = changed("/subscription", json!({"id": "sub_1"}));
    let loose = without(
        changed("/subscription", Value::Null),
        "subscription_details",
    );
    let by_line = with(
        loose.clone(),
        "/lines/data",
        json!([{"subscription": "sub_2"}]),
    );
    let one_off = with(loose, "/lines/data", json!([{"subscription": null}]));
    check(vec![
        ("failed", FAILED, invoice_old(), WHOLE),
        ("paid", PAID, invoice_old(), WHOLE),
        ("no name of its own", PAID, bare(invoice_old()), WHOLE),
        ("expanded", PAID, expanded, WHOLE),
        (
            "null details",
            PAID,
            changed("/subscription_details", Value::Null),
            "- - sub_1 cus_1 in_1 - open",
        ),
        (
            "only the line",
            PAID,
            by_line,
            "- - sub_2 cus_1 in_1 - open",
        ),
        ("one-off", PAID, one_off, "- - - cus_1 in_1 - open"),
    ]);
}

#[test]
fn of_charges() {
    const REFUNDED: &str = "charge.refunded";
    const NEW: &str = "- - - cus_1 - - succeeded pi_1 ch_1 whole";
    const OLD: &str = "- - - cus_1 in_1 - succeeded pi_1 ch_1 whole";
    let changed = |pointer: &str, value: Value| with(charge(true), pointer, value);
    let part = with(
        changed("/refunded", json!(false)),
        "/amount_refunded",
        json!(1),
    );
    let expanded = changed(
        "/payment_intent",
        json!({"id": "pi_1", "status": "succeeded"}),
    );
    let unsaid = "- - - cus_1 - - succeeded pi_1 ch_1";
    let long = json!("x".repeat(256));
    check(vec![
        ("new", REFUNDED, charge(true), NEW),
        ("old", REFUNDED, charge(false), OLD),
        ("no name of its own, new", REFUNDED, bare(charge(true)), NEW),
        (
            "no name of its own, old",
            REFUNDED,
            bare(charge(false)),
            OLD,
        ),
        ("expanded", REFUNDED, expanded, NEW),
        (
            "a part",
            REFUNDED,
            part,
            "- - - cus_1 - - succeeded pi_1 ch_1 part",
        ),
        (
            "no word of how much",
            REFUNDED,
            without(charge(true), "refunded"),
            unsaid,
        ),
        (
            "odd word of how much",
            REFUNDED,
            changed("/refunded", json!("true")),
            unsaid,
        ),
        (
            "no payment",
            REFUNDED,
            changed("/payment_intent", Value::Null),
            "- - - cus_1 - - succeeded ch_1 whole",
        ),
        (
            "long payment, long id",
            REFUNDED,
            with(changed("/payment_intent", long.clone()), "/id", long),
            "- - - cus_1 - - succeeded whole",
        ),
        (
            "a refund is no charge",
            "refund.failed",
            json!({"id": "re_1", "object": "refund", "charge": "ch_1", "payment_intent": "pi_1"}),
            "- - - - - - - pi_1 ch_1 re_1",
        ),
        (
            "no name of its own",
            "refund.failed",
            json!({"id": "re_1", "charge": {"id": "ch_1"}, "payment_intent": null}),
            "- - - - - - - ch_1 re_1",
        ),
    ]);
}

#[test]
fn of_disputes() {
    const OPENED: &str = "charge.dispute.created";
    const WHOLE: &str = "- - - - - - needs_response pi_1 ch_1 du_1";
    let changed = |pointer: &str, value: Value| with(dispute(), pointer, value);
    let expanded = changed("/charge", charge(true));
    let expanded = with(expanded, "/payment_intent", json!({"id": "pi_1"}));
    check(vec![
        ("opened", OPENED, dispute(), WHOLE),
        ("no name of its own", OPENED, bare(dispute()), WHOLE),
        ("expanded", OPENED, expanded, WHOLE),
        (
            "closed",
            "charge.dispute.closed",
            with(changed("/status", json!("won")), "/id", json!("dp_1")),
            "- - - - - - won pi_1 ch_1 dp_1",
        ),
        (
            "no payment",
            OPENED,
            changed("/payment_intent", Value::Null),
            "- - - - - - needs_response ch_1 du_1",
        ),
        (
            "control characters",
            OPENED,
            with(changed("/id", json!("du\n1")), "/charge", json!("")),
            "- - - - - - needs_response pi_1",
        ),
        (
            "lists",
            OPENED,
            with(
                changed("/charge", json!(["ch_1"])),
                "/payment_intent",
                json!([]),
            ),
            "- - - - - - needs_response du_1",
        ),
    ]);
}

#[test]
fn of_anything_else() {
    const NOTHING: &str = "- - - - - - -";
    let customer = json!({"id": "cus_1", "object": "customer", "email": "x"});
    let nulls = json!({"id": null, "object": "checkout.session", "metadata": null,
        "customer": null, "subscription": null, "status": null, "payment_status": null});
    let long = json!({"id": "s".repeat(256), "object": "subscription",
        "customer": "c".repeat(9999), "status": "t".repeat(256)});
    let control = json!({"id": "cs\n1", "object": "checkout.session", "customer": "cus\u{0}1",
        "client_reference_id": "a\u{85}b", "status": "op\ten"});
    let moon = json!({"id": "mo_1", "object": "moon", "status": 5});
    check(vec![
        (
            "customer",
            "customer.updated",
            customer,
            "- - - cus_1 - - -",
        ),
        ("unknown", "moon.landed", moon.clone(), NOTHING),
        ("unknown, no name", "moon.landed", bare(moon), NOTHING),
        ("empty", DONE, json!({}), NOTHING),
        ("null", DONE, Value::Null, NOTHING),
        ("text", PAID, json!("in_1"), NOTHING),
        ("list", UPDATED, json!([{"id": "sub_1"}]), NOTHING),
        ("all null", DONE, nulls, NOTHING),
        ("too long", UPDATED, long, NOTHING),
        ("control characters", DONE, control, NOTHING),
        (
            "metadata is text",
            UPDATED,
            json!({"metadata": "order_id"}),
            NOTHING,
        ),
    ]);
    let longest = subject(
        UPDATED,
        json!({"object": "subscription", "id": "s".repeat(255)}),
    );
    assert_eq!(longest.subscription.map(|id| id.len()), Some(255));
}
