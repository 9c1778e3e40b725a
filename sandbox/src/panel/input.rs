//! Reading a request the way PHP and the panel's middleware do: query arrays, trimmed strings, empty
//! strings as null, a body that counts only with a JSON content type.

use serde_json::{Map, Value};

use super::errors::Refusal;

/// Decodes percent escapes, and `+` as a space where the text is a query.
pub(crate) fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if plus_is_space && byte == b'+' {
                    b' '
                } else {
                    byte
                });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The query as PHP sees it: `a[b]=x` is an object, `a[]=x` a list; the last value of a name wins.
pub(crate) fn parse_query(raw: &str) -> Map<String, Value> {
    let mut root = Map::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decode(name, true);
        let value = Value::String(percent_decode(value, true));
        match name.split_once('[') {
            None => {
                root.insert(name, value);
            }
            Some((outer, inner)) => {
                let inner = inner.trim_end_matches(']');
                let slot = root.entry(outer.to_owned()).or_insert(Value::Null);
                insert_inner(slot, inner, value);
            }
        }
    }
    normalised(Value::Object(root))
}

fn insert_inner(slot: &mut Value, key: &str, value: Value) {
    if key.is_empty() {
        match slot {
            Value::Array(list) => list.push(value),
            _ => *slot = Value::Array(vec![value]),
        }
        return;
    }
    match slot {
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        _ => *slot = Value::Object(Map::from_iter([(key.to_owned(), value)])),
    }
}

/// The body as input. Without a JSON content type it is ignored, and broken JSON is a 400.
pub(crate) fn parse_body(
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Map<String, Value>, Refusal> {
    if body.is_empty() || !content_type.is_some_and(is_json) {
        return Ok(Map::new());
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => Ok(normalised(value)),
        Err(_) => Err(Refusal::new(
            400,
            "BadRequestHttpException",
            "The JSON data passed in the request appears to be malformed: Syntax error",
        )),
    }
}

/// Whether the first type of an `Accept` or `Content-Type` header is a JSON one.
pub(crate) fn is_json(header: &str) -> bool {
    let first = header.split(',').next().unwrap_or_default();
    let media = first
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    media.ends_with("/json") || media.ends_with("+json")
}

/// Strings trimmed and empty ones null, at every depth. What is no object has no fields.
fn normalised(value: Value) -> Map<String, Value> {
    match clean(value, "") {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn clean(value: Value, name: &str) -> Value {
    match value {
        // Passwords keep their blanks.
        Value::String(text) if name == "password" => Value::String(text),
        Value::String(text) => match text.trim() {
            "" => Value::Null,
            trimmed => Value::String(trimmed.to_owned()),
        },
        Value::Array(list) => Value::Array(list.into_iter().map(|v| clean(v, "")).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| {
                    let value = clean(value, &key);
                    (key, value)
                })
                .collect(),
        ),
        other => other,
    }
}

/// The value at a dotted path; absent and null are not the same.
pub(crate) fn lookup<'a>(data: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(data, |at, key| match at {
        Value::Object(map) => map.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A number the way the database stores it: numeric strings count, fractions are rounded.
pub(crate) fn integer(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|number| number.round() as i64)),
        Value::String(text) => text
            .parse::<i64>()
            .ok()
            .or_else(|| text.parse::<f64>().ok().map(|number| number.round() as i64)),
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    }
}

/// A string value as it is stored.
pub(crate) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("1".to_owned()),
        Value::Bool(false) => Some(String::new()),
        _ => None,
    }
}

/// A boolean in any of the forms that pass the `boolean` rule.
pub(crate) fn boolean(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => Some(number.as_i64() != Some(0)),
        Value::String(text) => Some(text != "0"),
        _ => None,
    }
}

/// An id in a path as MySQL casts it: the leading digits, 0 without any.
pub(crate) fn leading_integer(text: &str) -> i64 {
    let digits: String = text
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(0)
}

/// The form under which the database's collation compares two strings.
pub(crate) fn folded(text: &str) -> String {
    text.trim_end_matches(' ').to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn queries_read_like_php() {
        let query = parse_query("filter[email]=a+b%2Bc&ids[]=1&ids[]=2&page=2&filter%5Bx%5D=");
        assert_eq!(
            Value::Object(query),
            json!({ "filter": { "email": "a b+c", "x": null }, "ids": ["1", "2"], "page": "2" })
        );
    }

    #[test]
    fn strings_are_trimmed_and_empty_ones_null() {
        let body = parse_body(Some("application/json"), br#"{"a":" x ","b":{"c":""}}"#).unwrap();
        assert_eq!(Value::Object(body), json!({ "a": "x", "b": { "c": null } }));
        assert!(parse_body(None, b"{\"a\":1}").unwrap().is_empty());
        assert_eq!(
            parse_body(Some("application/json"), b"{")
                .unwrap_err()
                .status,
            400
        );
    }

    #[test]
    fn path_ids_cast_like_mysql() {
        assert_eq!(leading_integer("1abc"), 1);
        assert_eq!(leading_integer("abc"), 0);
        assert_eq!(leading_integer("99999"), 99999);
    }

    #[test]
    fn any_type_is_not_json() {
        assert!(is_json("Application/vnd.pterodactyl.v1+json"));
        assert!(!is_json("*/*"));
        assert!(!is_json("text/html, application/json"));
    }
}
