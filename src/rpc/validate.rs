//! Checks at the edge that all services share. Each notes what is wrong with one
//! field and goes on, so that a caller learns of everything at once.
//!
//! A check returns a usable value in any case: where it noted something, the
//! value is a stand-in, and `Violations::finish` refuses before anybody uses it.
//! Problems never repeat the value: it may be personal, or long.

use std::collections::{BTreeMap, HashMap};

use url::Url;
use uuid::Uuid;

use crate::domain::{
    OrderId, UserId,
    affiliate::{CODE_PROBLEM, code},
    catalog::rules::{VARIABLE_PROBLEM, is_slug, is_variable},
    error::Violations,
    ids::parse_uuid,
    node::is_region,
};

/// Stripe cuts metadata at 500 characters, and the panel refuses longer addresses.
const EMAIL_CHARS: usize = 191;
const SERVER_NAME_CHARS: usize = 64;
const URL_CHARS: usize = 2048;
const VARIABLES: usize = 64;
const VARIABLE_CHARS: usize = 2048;
const REFERRAL_CHARS: usize = 32;
const ID_CHARS: usize = 64;
/// Stripe takes 20 recurring lines, the plan's among them.
const ADDONS: usize = 19;

/// A bare lower-case UUID.
pub fn uuid(violations: &mut Violations, field: &str, text: &str) -> Uuid {
    let id = parse_uuid(text);
    violations.require(id.is_some(), field, "must be a bare lower-case UUID");
    id.unwrap_or_default()
}

/// As [`uuid`]; empty means none.
pub fn optional_uuid(violations: &mut Violations, field: &str, text: &str) -> Option<Uuid> {
    (!text.is_empty()).then(|| uuid(violations, field, text))
}

/// The field `order_id`.
pub fn order_id(violations: &mut Violations, text: &str) -> OrderId {
    OrderId(uuid(violations, "order_id", text))
}

/// The field `user_id`.
pub fn user_id(violations: &mut Violations, text: &str) -> UserId {
    UserId(uuid(violations, "user_id", text))
}

/// A text of so many characters, none of them control.
pub fn text(violations: &mut Violations, field: &str, text: &str, min: usize, max: usize) {
    let sound = (min..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    violations.require(
        sound,
        field,
        format!("must have {min} to {max} characters, none of them control"),
    );
}

/// An e-mail address, as far as it can be told without sending to it.
pub fn email(violations: &mut Violations, field: &str, text: &str) {
    violations.require(
        is_email(text),
        field,
        "must be an e-mail address of at most 191 characters",
    );
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"@<>()[]\\,;:\"".contains(c);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.chars().count() <= EMAIL_CHARS
        && !local.is_empty()
        && local.len() <= 64
        && local.chars().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain.split('.').all(label)
}

/// The name of a server, as its owner sees it on the panel.
pub fn server_name(violations: &mut Violations, field: &str, text: &str) {
    let sound = (1..=SERVER_NAME_CHARS).contains(&text.chars().count())
        && !text.trim().is_empty()
        && !text.chars().any(is_invisible);
    violations.require(
        sound,
        field,
        "must have 1 to 64 characters, not only spaces and none of them control",
    );
}

/// Control characters, and those that reorder or hide the text around them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// The id of a plan, an add-on or a game. Whether it exists is not asked here.
pub fn id(violations: &mut Violations, field: &str, text: &str) {
    violations.require(
        is_slug(text, ID_CHARS),
        field,
        "must be 1 to 64 lower-case letters, digits or dashes and start with a letter or digit",
    );
}

/// The field `addon_ids`: each once. Whether they exist is not asked here.
pub fn addon_ids(violations: &mut Violations, ids: &[String]) {
    violations.require(
        ids.len() <= ADDONS,
        "addon_ids",
        format!("must have at most {ADDONS} entries"),
    );
    for (index, addon_id) in ids.iter().take(ADDONS).enumerate() {
        let field = format!("addon_ids[{index}]");
        id(violations, &field, addon_id);
        let twice = ids.iter().take(index).any(|earlier| earlier == addon_id);
        violations.require(!twice, field, "must not be named twice");
    }
}

/// The name of a region. Whether it exists is not asked here.
pub fn region(violations: &mut Violations, field: &str, text: &str) {
    violations.require(
        is_region(text),
        field,
        "must be 1 to 32 lower-case letters, digits or dashes and start with a letter or digit",
    );
}

/// An address to send a browser to. Which origins are allowed is not asked here.
pub fn url(violations: &mut Violations, field: &str, text: &str) {
    violations.require(
        is_url(text),
        field,
        "must be an http or https URL of at most 2048 characters, without user and password",
    );
}

fn is_url(text: &str) -> bool {
    // The parser forgives what a browser forgives (outer spaces, line breaks, wrong slashes);
    // Stripe does not.
    let plain = text.len() <= URL_CHARS
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains('\\')
        && text
            .split_once("://")
            .is_some_and(|(_, rest)| !rest.starts_with('/'));
    plain
        && Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        })
}

/// Egg variables that the customer chose. Which ones the egg lets users edit is
/// not asked here.
pub fn environment(
    violations: &mut Violations,
    field: &str,
    sent: HashMap<String, String>,
) -> BTreeMap<String, String> {
    violations.require(
        sent.len() <= VARIABLES,
        field,
        "must have at most 64 entries",
    );
    // Sorted, so that the same map gives the same answer and the same hash.
    let sent: BTreeMap<String, String> = sent.into_iter().collect();
    for (name, value) in sent.iter().take(VARIABLES) {
        if !is_variable(name) {
            violations.add(field, format!("a name {VARIABLE_PROBLEM}"));
            continue;
        }
        let sound = value.chars().count() <= VARIABLE_CHARS && !value.contains('\0');
        violations.require(
            sound,
            format!("{field}[{name}]"),
            "must have at most 2048 characters, none of them NUL",
        );
    }
    sent
}

/// The code of an affiliate, in the form that is stored.
pub fn affiliate_code(violations: &mut Violations, field: &str, text: &str) -> String {
    let code = code(text);
    violations.require(code.is_some(), field, CODE_PROBLEM);
    code.unwrap_or_default()
}

/// The code of an affiliate at a purchase; empty means none. Older than the rule for new ones, and
/// wider: what nobody has earns nothing.
pub fn referral_code(violations: &mut Violations, field: &str, text: &str) -> Option<String> {
    let sound = text.len() <= REFERRAL_CHARS
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    violations.require(
        sound,
        field,
        "must have at most 32 letters, digits, dashes or underscores",
    );
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
