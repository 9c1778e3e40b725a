//! Which parameters an endpoint takes, and the refusal of all others.

use super::errors::Refusal;
use super::form::{Params, join, split_key};

/// Which parameters an endpoint takes.
pub(super) struct Schema {
    /// Patterns of the paths it reads; `*` stands for one bracket.
    pub known: &'static [&'static str],
    /// Names that Stripe takes but this stand-in does not play.
    pub unsimulated: &'static [&'static str],
    /// Paths that may be sent empty to unset them.
    pub clearable: &'static [&'static str],
    /// Whether the paging parameters are taken too.
    pub list: bool,
}

impl Schema {
    /// A schema without exceptions.
    pub(super) const fn of(known: &'static [&'static str]) -> Self {
        Self {
            known,
            unsimulated: &[],
            clearable: &[],
            list: false,
        }
    }

    /// A schema of a list: its own filters, and the paging parameters.
    pub(super) const fn list(known: &'static [&'static str]) -> Self {
        Self {
            list: true,
            ..Self::of(known)
        }
    }

    fn takes(&self, path: &[String]) -> bool {
        let any = |patterns: &[&str]| {
            patterns
                .iter()
                .any(|pattern| matches_pattern(path, pattern))
        };
        any(self.known) || any(&["expand[*]"]) || (self.list && any(&PAGING))
    }
}

/// What every list takes.
const PAGING: [&str; 8] = [
    "limit",
    "starting_after",
    "ending_before",
    "created",
    "created[gte]",
    "created[gt]",
    "created[lte]",
    "created[lt]",
];

impl Params {
    /// Refuses what no pattern of `known` matches (`*` stands for one bracket), what is
    /// known but not simulated, and empty values outside of metadata and `clearable`.
    pub(super) fn allow(&self, schema: &Schema) -> Result<(), Refusal> {
        let mut unknown = Vec::new();
        for leaf in &self.leaves {
            let key = join(&leaf.path);
            let root = leaf.path.first().map_or("", String::as_str);
            if schema.unsimulated.contains(&root) || schema.unsimulated.contains(&key.as_str()) {
                return Err(Refusal::not_simulated(&key));
            }
            if !schema.takes(&leaf.path) {
                unknown.push(key);
            } else if leaf.value.is_empty()
                && !leaf.path.iter().any(|segment| segment == "metadata")
                && !schema.clearable.contains(&key.as_str())
            {
                return Err(Refusal::invalid(format!(
                    "You passed an empty string for '{key}', which cannot be unset. Leave it out."
                ))
                .code("parameter_invalid_empty")
                .param(key));
            }
        }
        match unknown.first() {
            None => Ok(()),
            Some(first) => Err(Refusal::invalid(format!(
                "Received unknown parameter{}: {}",
                if unknown.len() > 1 { "s" } else { "" },
                unknown.join(", ")
            ))
            .code("parameter_unknown")
            .param(first.as_str())),
        }
    }
}

fn matches_pattern(path: &[String], pattern: &str) -> bool {
    let Ok(pattern) = split_key(pattern) else {
        return false;
    };
    path.len() == pattern.len()
        && path
            .iter()
            .zip(&pattern)
            .all(|(segment, want)| want == "*" || segment == want)
}
