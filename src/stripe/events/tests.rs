mod bodies;
mod properties;
mod subjects;

use serde_json::{Value, json};

use super::*;
use bodies::{event, invoice_new, session};

fn read(value: &Value) -> Result<Event, ParseError> {
    parse(value.to_string().as_bytes())
}

fn subject(kind: &str, object: Value) -> Subject {
    read(&event(kind, object)).unwrap().subject
}

/// `base` with the value at a JSON pointer replaced; `Null` entries stay in place.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    base.pointer_mut(parent).unwrap()[name] = value;
    base
}

fn without(mut base: Value, name: &str) -> Value {
    base.as_object_mut().unwrap().remove(name).unwrap();
    base
}

#[test]
fn the_envelope_is_read() {
    let read = read(&event("checkout.session.completed", session())).unwrap();
    assert_eq!(read.id, "evt_1");
    assert_eq!(read.kind, "checkout.session.completed");
    assert_eq!(read.api_version.as_deref(), Some("2026-07-29.dahlia"));
    assert!(!read.livemode);
    assert_eq!(read.created, 1_790_000_000);
}

#[test]
fn envelopes_that_are_none_are_refused() {
    let good = || event("invoice.paid", invoice_new());
    let rows = [
        ("another object", with(good(), "/object", json!("list"))),
        ("no object", without(good(), "object")),
        ("null object", with(good(), "/object", Value::Null)),
        ("no id", without(good(), "id")),
        ("number for id", with(good(), "/id", json!(1))),
        ("foreign id", with(good(), "/id", json!("ev_1"))),
        ("bare prefix", with(good(), "/id", json!("evt_"))),
        ("id beyond ASCII", with(good(), "/id", json!("evt_\u{e9}"))),
        ("id with a blank", with(good(), "/id", json!("evt_ 1"))),
        (
            "id with a line break",
            with(good(), "/id", json!("evt_1\n")),
        ),
        (
            "long id",
            with(good(), "/id", json!(format!("evt_{}", "x".repeat(252)))),
        ),
        ("no type", without(good(), "type")),
        ("empty type", with(good(), "/type", json!(""))),
        ("long type", with(good(), "/type", json!("x".repeat(256)))),
        ("no livemode", without(good(), "livemode")),
        (
            "text for livemode",
            with(good(), "/livemode", json!("false")),
        ),
        ("no creation", without(good(), "created")),
        (
            "creation is a fraction",
            with(good(), "/created", json!(1.5)),
        ),
        ("creation before 1970", with(good(), "/created", json!(-1))),
        (
            "creation past 9999",
            with(good(), "/created", json!(i64::MAX)),
        ),
        ("a list", json!([good()])),
        ("text", json!("evt_1")),
        ("null", Value::Null),
    ];
    for (name, value) in rows {
        assert!(
            matches!(read(&value), Err(ParseError::Malformed(_))),
            "{name}"
        );
    }
    let longest = with(good(), "/id", json!(format!("evt_{}", "x".repeat(251))));
    assert_eq!(read(&longest).unwrap().id.len(), 255);
}

#[test]
fn what_is_odd_but_harmless_is_taken() {
    let good = || event("invoice.paid", invoice_new());
    for (name, value) in [
        ("null version", with(good(), "/api_version", Value::Null)),
        ("number for version", with(good(), "/api_version", json!(3))),
        ("no version", without(good(), "api_version")),
    ] {
        assert_eq!(read(&value).unwrap().api_version, None, "{name}");
    }
    for (name, value) in [
        ("no data", without(good(), "data")),
        ("null data", with(good(), "/data", Value::Null)),
        ("data is a list", with(good(), "/data", json!([1]))),
    ] {
        assert_eq!(read(&value).unwrap().subject, Subject::default(), "{name}");
    }
    let future = with(good(), "/context", json!({"new": ["field"]}));
    assert_eq!(
        read(&future).unwrap().subject.subscription.as_deref(),
        Some("sub_1")
    );
}

#[test]
fn bytes_that_are_no_json_are_refused_without_being_quoted() {
    let text = event("invoice.paid", invoice_new()).to_string();
    let mut latin = text.clone().into_bytes();
    let inside = text.find("someone").unwrap();
    latin[inside] = 0xe9;
    let bom = format!("\u{feff}{text}");
    let trailing = format!("{text}{{}}");
    let halves: Vec<&[u8]> = (0..text.len())
        .step_by(7)
        .map(|at| &text.as_bytes()[..at])
        .collect();
    let others: [&[u8]; 7] = [
        b"",
        b"\0",
        b"\xff\xfe{}",
        b"someone@example.com",
        &latin,
        bom.as_bytes(),
        trailing.as_bytes(),
    ];
    for payload in halves.into_iter().chain(others) {
        let error = parse(payload).unwrap_err();
        assert!(matches!(error, ParseError::Malformed(_)));
        let shown = error.to_string();
        assert!(shown.len() < 200 && !shown.contains("someone"), "{shown}");
    }
}

#[test]
fn thin_events_are_told_apart() {
    let thin = json!({
        "id": "evt_test_1", "object": "v2.core.event", "type": "v1.customer.subscription.updated",
        "created": "2026-10-01T12:00:00.000Z", "livemode": false,
        "related_object": {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"},
    });
    assert_eq!(read(&thin), Err(ParseError::Thin));
    assert_eq!(
        read(&with(thin.clone(), "/created", json!(1))),
        Err(ParseError::Thin)
    );
    assert_eq!(
        read(&with(thin.clone(), "/object", json!("event"))),
        Err(ParseError::Thin)
    );
    assert_eq!(
        read(&json!({"object": "v2.core.event"})),
        Err(ParseError::Thin)
    );
}

#[test]
fn huge_and_deep_payloads_do_no_harm() {
    let padded = with(session(), "/padding", json!("x".repeat(8 * 1024 * 1024)));
    assert_eq!(
        subject("checkout.session.completed", padded)
            .session
            .as_deref(),
        Some("cs_test_1")
    );
    let lines: Vec<Value> = (0..50_000)
        .map(|at| json!({"id": format!("il_{at}")}))
        .collect();
    let long = with(
        with(invoice_new(), "/parent", Value::Null),
        "/lines/data",
        json!(lines),
    );
    assert_eq!(subject("invoice.paid", long).subscription, None);

    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let depth = 1_000_000;
        let bomb = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(matches!(
            parse(bomb.as_bytes()),
            Err(ParseError::Malformed(_))
        ));
        let unclosed = open.repeat(depth);
        assert!(matches!(
            parse(unclosed.as_bytes()),
            Err(ParseError::Malformed(_))
        ));
        let inside = format!(r#"{{"object":"event","id":"evt_1","data":{{"object":{bomb}}}}}"#);
        assert!(matches!(
            parse(inside.as_bytes()),
            Err(ParseError::Malformed(_))
        ));
    }
}

#[test]
fn eighteen_types_matter() {
    for kind in [
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "invoice.payment_failed",
        "invoice.payment_action_required",
        "invoice.paid",
        "charge.refunded",
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
        "refund.failed",
    ] {
        assert!(matters(kind), "{kind}");
    }
    for kind in [
        "",
        "invoice",
        "invoice.paid ",
        "INVOICE.PAID",
        "customer.subscription.trial_will_end",
        "charge.dispute.funds_reinstated",
        "refund.created",
    ] {
        assert!(!matters(kind), "{kind}");
    }
}
