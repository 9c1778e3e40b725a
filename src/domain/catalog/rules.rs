//! Rules that several kinds of rows share. Each notes what is wrong at a path
//! and goes on, so that a caller learns of everything at once.

use std::ops::RangeInclusive;

use crate::domain::error::Violations;

/// Memory of one server or floor, in GiB: no machine of the trade has more.
pub(crate) const MAX_RAM_GB: i32 = 4096;
/// Cores of one server.
pub(crate) const MAX_VCORES: i32 = 512;
/// Disk of one server or floor, in GiB.
pub(crate) const MAX_SSD_GB: i32 = 65_536;
/// Databases, backups and further ports of one server.
pub(crate) const MAX_COUNT: i32 = 1000;

/// `prefix.field`.
pub(crate) fn at(prefix: &str, field: &str) -> String {
    format!("{prefix}.{field}")
}

/// Whether it is lower-case letters, digits and dashes, not starting with a dash.
pub(crate) fn is_slug(text: &str, max: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= max
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
}

/// An id that people choose: `mc-2gb`.
pub(crate) fn id(violations: &mut Violations, field: String, id: &str) {
    violations.require(
        is_slug(id, 64),
        field,
        "must be 1 to 64 lower-case letters, digits or dashes and start with a letter or digit",
    );
}

/// A name that people read.
pub(crate) fn display_name(violations: &mut Violations, field: String, name: &str) {
    let length = name.chars().count();
    violations.require(
        (1..=100).contains(&length) && !name.chars().any(char::is_control) && name.trim() == name,
        field,
        "must be 1 to 100 characters without control characters or outer spaces",
    );
}

/// A longer text; may have line breaks.
pub(crate) fn description(violations: &mut Violations, field: String, text: &str) {
    violations.require(
        text.chars().count() <= 2000 && !has_control(text),
        field,
        "must be at most 2000 characters without control characters",
    );
}

/// Whether there is a control character other than a line break or a tab.
/// PostgreSQL stores no NUL, so it must not get that far.
pub(crate) fn has_control(text: &str) -> bool {
    text.chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
}

/// A number within its bounds.
pub(crate) fn within(
    violations: &mut Violations,
    field: String,
    value: i32,
    range: RangeInclusive<i32>,
) {
    if !range.contains(&value) {
        let problem = format!("must be from {} to {}", range.start(), range.end());
        violations.add(field, problem);
    }
}

/// The name of an egg variable, as the panel and a shell accept it.
pub(crate) fn is_variable(name: &str) -> bool {
    let head = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.len() <= 64
        && name.bytes().next().is_some_and(head)
        && name.bytes().all(|byte| head(byte) || byte.is_ascii_digit())
}

/// What goes wrong with the name of an egg variable.
pub(crate) const VARIABLE_PROBLEM: &str =
    "must be 1 to 64 letters, digits or underscores and not start with a digit";
