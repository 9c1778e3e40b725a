//! A webhook's payload: which event it is, and whose. An input is the payload.

use serde_json::Value;
use spawnpoint::stripe::events::{Event, ParseError, Subject, matters, parse};

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// What is read fits into the store, does not depend on how the JSON is written, and is
/// the same with a field that is not invented yet.
pub fn run(data: &[u8]) -> &'static str {
    let outcome = parse(data);
    assert_eq!(outcome, parse(data));
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        assert_eq!(outcome, parse(&rendered(&value)), "written differently");
        if let Value::Object(mut envelope) = value {
            let news = serde_json::json!({"id": "evt_other", "type": ["x"]});
            envelope.insert("zz_later".to_owned(), news);
            let later = parse(&rendered(&Value::Object(envelope)));
            assert_eq!(outcome, later, "with an unknown field");
        }
    }
    match &outcome {
        Ok(event) => {
            assert_fits(event);
            if matters(&event.kind) {
                "matters"
            } else {
                "does not matter"
            }
        }
        Err(ParseError::Thin) => "thin",
        Err(error @ ParseError::Malformed(_)) => {
            assert!(error.to_string().len() < 200, "{error}");
            "malformed"
        }
    }
}

fn rendered(value: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap()
}

fn assert_fits(event: &Event) {
    let Event {
        id,
        kind,
        api_version,
        livemode: _,
        created,
        subject,
    } = event;
    assert!(
        id.starts_with("evt_") && id.len() > 4 && id.is_ascii(),
        "{id:?}"
    );
    assert!((0..=LAST_SECOND).contains(created), "{created}");
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
    } = subject;
    let optional = [
        api_version,
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
    let texts = optional.into_iter().flatten().chain([id, kind]);
    for text in texts {
        assert!((1..=255).contains(&text.chars().count()), "{text:?}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}
