//! The `include` parameter: which related objects an answer carries, two levels deep at most.

use std::collections::BTreeMap;

use serde_json::Value;

const MAX_DEPTH: usize = 2;

/// Wanted relations by name, each with what is wanted inside it. Unknown names stay without effect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Includes(BTreeMap<String, Includes>);

impl Includes {
    pub(crate) fn parse(value: Option<&Value>) -> Self {
        let mut includes = Self::default();
        let names: Vec<&str> = match value {
            Some(Value::String(list)) => list.split(',').collect(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for name in names {
            let mut level = &mut includes;
            for part in name.trim().split('.').take(MAX_DEPTH) {
                level = level.0.entry(part.to_owned()).or_default();
            }
        }
        includes
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.0.get(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
