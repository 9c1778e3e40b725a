//! Whatever bytes come in: no panic, and nothing that would not fit into the inbox.

use proptest::prelude::*;
use serde_json::Value;

use super::bodies::{charge, dispute, event, invoice_new, invoice_old, session, subscription};
use super::read;
use crate::stripe::events::{MAX_SECOND, Subject, parse};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z_]{0,300}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        proptest::sample::select(vec![
            "id",
            "object",
            "metadata",
            "order_id",
            "parent",
            "type",
            "lines",
            "data",
            "subscription",
            "subscription_details",
            "customer",
            "status",
            "client_reference_id",
            "charge",
            "payment_intent",
            "refunded",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every JSON pointer into a value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(name, inner)| pointers(inner, &format!("{at}/{name}"), found));
        }
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            numbered.for_each(|(index, inner)| pointers(inner, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// Whatever was put in, what comes out fits into the inbox.
fn fits(payload: &[u8]) -> Result<(), TestCaseError> {
    let read = match parse(payload) {
        Ok(read) => read,
        Err(error) => {
            prop_assert!(error.to_string().len() < 200);
            return Ok(());
        }
    };
    prop_assert!(read.id.starts_with("evt_") && read.id.is_ascii());
    prop_assert!((0..=MAX_SECOND).contains(&read.created));
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
        refunded: _,
        payment_status,
        status,
    } = read.subject;
    let texts = [
        Some(read.id),
        Some(read.kind),
        read.api_version,
        order_ref,
        session,
        subscription,
        customer,
        invoice,
        payment,
        charge,
        dispute,
        refund,
        payment_status,
        status,
    ];
    for text in texts.into_iter().flatten() {
        prop_assert!((1..=255).contains(&text.chars().count()));
        prop_assert!(!text.chars().any(char::is_control));
    }
    Ok(())
}

fn bases() -> Vec<Value> {
    vec![
        event("checkout.session.completed", session()),
        event("customer.subscription.updated", subscription(true)),
        event("customer.subscription.deleted", subscription(false)),
        event("invoice.paid", invoice_new()),
        event("invoice.payment_failed", invoice_old()),
        event("charge.refunded", charge(true)),
        event("charge.refunded", charge(false)),
        event("charge.dispute.created", dispute()),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..2000)) {
        fits(&payload)?;
    }

    #[test]
    fn arbitrary_json_never_panics(value in any_json(), kind in "[a-z._]{1,40}") {
        fits(value.to_string().as_bytes())?;
        let inside = event(&kind, value);
        fits(inside.to_string().as_bytes())?;
        prop_assert!(read(&inside).is_ok(), "the object never decides whether an event is one");
    }

    #[test]
    fn a_known_body_with_one_part_replaced_never_panics(
        mut body in proptest::sample::select(bases()),
        at in any::<proptest::sample::Index>(),
        part in any_json(),
    ) {
        let mut found = Vec::new();
        pointers(&body, "", &mut found);
        let pointer = at.get(&found).clone();
        *body.pointer_mut(&pointer).unwrap() = part;
        fits(body.to_string().as_bytes())?;
        if pointer.starts_with("/data") {
            prop_assert!(read(&body).is_ok(), "{}", pointer);
        }
    }

    #[test]
    fn a_known_body_with_bytes_damaged_never_panics(
        body in proptest::sample::select(bases()),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3), 1..6),
    ) {
        let mut payload = body.to_string().into_bytes();
        for (at, byte, how) in damage {
            let at = at.index(payload.len());
            match how {
                0 => payload[at] = byte,
                1 => payload.insert(at, byte),
                _ => drop(payload.remove(at)),
            }
        }
        fits(&payload)?;
    }
}
