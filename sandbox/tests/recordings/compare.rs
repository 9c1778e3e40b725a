//! What must be equal: status, errors, headers that mean something, and the body down to its values.
//!
//! Values that cannot be equal (uuids, times) or that are prose or scripts of the real eggs only have to
//! be there.

use serde_json::Value;

use super::case::Exchange;
use super::client::Answer;

/// Keys whose values differ between any two panels.
const VOLATILE: [&str; 6] = [
    "uuid",
    "identifier",
    "created_at",
    "updated_at",
    "P_SERVER_UUID",
    "author",
];
/// Keys of eggs, nests and variables that hold prose, scripts or parsers.
const PROSE: [&str; 6] = [
    "description",
    "startup",
    "docker_images",
    "config",
    "script",
    "stop",
];
/// Headers that are there or not for a reason.
const HEADERS: [&str; 5] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
    "allow",
];

/// The panel's own address in the recordings.
const RECORDED_URL: &str = "http://127.0.0.1:8091";

pub(crate) fn exchange(recorded: &Exchange, ours: &Answer, url: &str) -> Vec<String> {
    let mut found = Vec::new();
    let theirs = &recorded.response;
    if theirs.status != ours.status {
        found.push(format!(
            "status {} is {} here: {}",
            theirs.status, ours.status, ours.body
        ));
        return found;
    }
    for name in HEADERS {
        match (theirs.header(name), ours.header(name)) {
            (Some(a), Some(b)) if name == "allow" && a != b => {
                found.push(format!("allow {a:?} is {b:?} here"));
            }
            (Some(_), Some(_)) | (None, None) => {}
            (a, b) => found.push(format!("header {name}: {a:?} is {b:?} here")),
        }
    }
    let location = theirs
        .header("location")
        .map(|to| to.replace(RECORDED_URL, url));
    if location.as_deref() != ours.header("location") {
        found.push(format!(
            "location {location:?} is {:?} here",
            ours.header("location")
        ));
    }
    match (&theirs.body, ours.json()) {
        (Some(Value::Null) | None, None) => {}
        (Some(theirs), Some(ours)) => values("", "", theirs, &ours, url, &mut found),
        (theirs, ours) => found.push(format!("body {theirs:?} is {ours:?} here")),
    }
    found
}

fn values(path: &str, object: &str, a: &Value, b: &Value, url: &str, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let object = theirs
                .get("object")
                .and_then(Value::as_str)
                .unwrap_or(object);
            let keys: Vec<_> = theirs.keys().collect();
            let our_keys: Vec<_> = ours.keys().collect();
            if keys != our_keys {
                found.push(format!("{path}: keys {keys:?} are {our_keys:?} here"));
            }
            for (key, theirs) in theirs {
                let Some(ours) = ours.get(key) else { continue };
                let path = format!("{path}/{key}");
                if VOLATILE.contains(&key.as_str()) {
                    same_kind(&path, theirs, ours, found);
                } else if prose(object, key) {
                    same_shape(&path, theirs, ours, found);
                } else {
                    values(&path, object, theirs, ours, url, found);
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if theirs.len() != ours.len() {
                found.push(format!(
                    "{path}: {} elements are {} here",
                    theirs.len(),
                    ours.len()
                ));
            }
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                values(&format!("{path}/{index}"), object, theirs, ours, url, found);
            }
        }
        (Value::String(theirs), Value::String(ours)) => {
            let theirs = without_request_id(&theirs.replace(RECORDED_URL, url));
            if theirs != without_request_id(ours) {
                found.push(format!("{path}: {theirs:?} is {ours:?} here"));
            }
        }
        _ if a != b => found.push(format!("{path}: {a} is {b} here")),
        _ => {}
    }
}

fn prose(object: &str, key: &str) -> bool {
    match object {
        "egg" => PROSE.contains(&key),
        "nest" | "egg_variable" | "server_variable" => key == "description",
        _ => false,
    }
}

/// Objects with the same keys one level down; parsers, images and log settings are free below that.
fn same_shape(path: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    let free = path.ends_with("/docker_images");
    match (a, b) {
        (Value::Object(theirs), Value::Object(ours)) if !free => {
            let keys: Vec<_> = theirs.keys().collect();
            let our_keys: Vec<_> = ours.keys().collect();
            if keys != our_keys {
                found.push(format!("{path}: keys {keys:?} are {our_keys:?} here"));
            }
        }
        _ => same_kind(path, a, b, found),
    }
}

fn same_kind(path: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let times = path.ends_with("_at");
    let length = |value: &Value| value.as_str().map(str::len);
    if kind(a) != kind(b) || (times && length(a) != length(b)) {
        found.push(format!("{path}: {a} is {b} here"));
    }
}

/// A daemon's request id is new each time.
fn without_request_id(text: &str) -> String {
    for mark in ["(request id: ", "(request_id: "] {
        if let Some((before, _)) = text.split_once(mark) {
            return before.to_owned();
        }
    }
    text.to_owned()
}
