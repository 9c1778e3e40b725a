//! What counts as filled, numeric, a mail address and so on, as PHP and the framework see it.

use serde_json::Value;

use crate::panel::input;

pub(super) fn filled(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    }
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    input::text(Some(value))
}

pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

pub(super) fn is_numeric(value: &Value) -> bool {
    number(value).is_some()
}

pub(super) fn is_integer(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
        Value::String(text) => text
            .parse::<i64>()
            .is_ok_and(|number| number.to_string() == text.trim_start_matches('+') || text == "-0"),
        Value::Bool(flag) => *flag,
        _ => false,
    }
}

pub(super) fn is_boolean(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::Number(number) => matches!(number.as_i64(), Some(0 | 1)),
        Value::String(text) => text == "0" || text == "1",
        _ => false,
    }
}

pub(super) fn is_username(text: &str) -> bool {
    let lower = text.to_lowercase();
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    match lower.as_bytes() {
        [first, middle @ .., last] => {
            edge(first) && edge(last) && !middle.is_empty() && middle.iter().all(inner)
        }
        _ => false,
    }
}

pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let dotted = |part: &str| !part.is_empty() && part.split('.').all(|atom| !atom.is_empty());
    let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    let label = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    dotted(local)
        && dotted(domain)
        && local.len() <= 64
        && local.chars().all(plain)
        && domain.chars().all(label)
        && domain
            .split('.')
            .all(|part| !part.starts_with('-') && !part.ends_with('-'))
}

pub(super) fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_and_mail_addresses() {
        assert!(is_username("Ca.Rol") && is_username("abc"));
        assert!(!is_username("77") && !is_username("bob smith!") && !is_username("-ab"));
        assert!(is_email("a+b@example.com") && is_email("a@b"));
        assert!(!is_email("a@") && !is_email("a..b@x.y") && !is_email("plain"));
    }
}
