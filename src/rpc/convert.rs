//! Between messages and domain types: one file per noun. Reading a message
//! notes what cannot be read and goes on with a stand-in, so that a caller
//! learns of everything at once.

use prost_types::{FieldMask, Timestamp};

use crate::domain::error::Violations;

pub mod affiliates;
pub mod catalog;
pub mod nodes;
pub mod orders;
pub mod servers;

/// A time as it is sent.
pub fn time(us: i64) -> Timestamp {
    Timestamp {
        seconds: us.div_euclid(1_000_000),
        // Below a thousand million by construction.
        nanos: i32::try_from(us.rem_euclid(1_000_000) * 1000).unwrap_or_default(),
    }
}

/// The fields that an update names: at least one, and none that may not be written.
pub fn fields<F: Copy + PartialEq>(
    violations: &mut Violations,
    mask: Option<FieldMask>,
    parse: impl Fn(&str) -> Option<F>,
) -> Vec<F> {
    let paths = mask.unwrap_or_default().paths;
    violations.require(
        !paths.is_empty(),
        "update_mask",
        "must name at least one field",
    );
    let mut fields = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        match parse(path) {
            Some(field) if fields.contains(&field) => {}
            Some(field) => fields.push(field),
            None => violations.add(
                format!("update_mask.paths[{index}]"),
                "is not a field that may be written",
            ),
        }
    }
    fields
}

#[cfg(test)]
mod tests;
