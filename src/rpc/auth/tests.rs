use http::{HeaderMap, HeaderValue};

use super::{bearer, caller, named_user, trace_id, trace_of};
use crate::domain::Error;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

#[test]
fn only_one_bearer_header_is_read() {
    let token =
        |text| bearer(&headers(&[("authorization", text)])).map(|token| token.map(str::to_owned));
    assert_eq!(token("Bearer spt_x").unwrap().as_deref(), Some("spt_x"));
    assert_eq!(token("bEARER spt_x").unwrap().as_deref(), Some("spt_x"));
    assert_eq!(bearer(&headers(&[])).unwrap(), None);
    for bad in [
        "",
        "Bearer",
        "spt_x",
        "Basic spt_x",
        "Bearer\u{a0}spt_x",
        "Bearer=spt_x",
        "\u{e9}",
    ] {
        assert_eq!(token(bad).unwrap_err(), Error::Unauthenticated, "{bad}");
    }
    let twice = headers(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]);
    assert_eq!(bearer(&twice).unwrap_err(), Error::Unauthenticated);
}

#[test]
fn a_user_is_one_bare_lower_case_uuid() {
    let id = "0192f0c1-2f3a-7c4d-9e5f-0123456789ab";
    let user = |text| named_user(&headers(&[("x-spawnpoint-user", text)]));
    assert_eq!(user(id).unwrap().unwrap().to_string(), id);
    assert_eq!(named_user(&headers(&[])).unwrap(), None);
    for bad in [
        "",
        "me",
        &id.to_uppercase(),
        &format!("{{{id}}}"),
        &format!("{id} "),
    ] {
        let Err(Error::Invalid(violations)) = user(bad) else {
            panic!("{bad:?} must be refused");
        };
        assert_eq!(violations[0].field, "x-spawnpoint-user");
    }
    let twice = headers(&[("x-spawnpoint-user", id), ("x-spawnpoint-user", id)]);
    assert!(named_user(&twice).is_err());
}

#[test]
fn a_valid_traceparent_is_continued() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let good = format!("00-{trace}-00f067aa0ba902b7-01");
    assert_eq!(trace_of(&good), Some(trace));
    assert_eq!(
        trace_of(&format!("cc-{trace}-00f067aa0ba902b7-01-what")),
        Some(trace)
    );
    assert_eq!(trace_id(&headers(&[("traceparent", &good)])), trace);
    for bad in [
        "",
        "00",
        &format!("00-{trace}-00f067aa0ba902b7"),
        &format!("00-{trace}-00f067aa0ba902b7-01-what"),
        &format!("ff-{trace}-00f067aa0ba902b7-01"),
        &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
        &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        &format!("00-{trace}-{}-01", "0".repeat(16)),
        &format!("00-{}x-00f067aa0ba902b7-01", &trace[..31]),
    ] {
        assert_eq!(trace_of(bad), None, "{bad}");
        let fresh = trace_id(&headers(&[("traceparent", bad)]));
        assert_eq!(fresh.len(), 32);
        assert_ne!(fresh, trace_id(&headers(&[])), "a new one each time");
    }
}

#[test]
fn a_call_round_the_door_has_no_caller() {
    assert!(caller(&tonic::Request::new(())).is_err());
}
