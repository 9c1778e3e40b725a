//! Reads single values: environment first, then the same key in the file.
//!
//! Collects every fault and warning instead of stopping at the first, and never
//! repeats a secret in one. Knows nothing of what the values mean.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::secrets::{ParseSecret, Rotating};

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable, or the file.
    pub key: String,
    /// What is wrong with it, without its value where that is a secret.
    pub problem: String,
}

/// Everything that is wrong with the configuration, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} fault(s)", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  {} {}", fault.key, fault.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The two places a value may come from, and what was found wrong so far.
pub(super) struct Source<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    file: BTreeMap<String, String>,
    faults: Vec<Fault>,
    warnings: Vec<String>,
}

/// Where a secret's text is.
enum Place {
    Inline(String),
    File(PathBuf),
}

impl<'a> Source<'a> {
    /// `known` are the keys of ours that the file may hold.
    pub(super) fn new(
        env: &'a dyn Fn(&str) -> Option<String>,
        file_text: Option<&str>,
        known: &[&str],
    ) -> Self {
        let mut source = Self {
            env,
            file: BTreeMap::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        if let Some(text) = file_text {
            source.read_file(text, known);
        }
        source
    }

    fn read_file(&mut self, text: &str, known: &[&str]) {
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                // The error's own Display quotes the line, which may hold a secret.
                let start = error.span().map_or(0, |span| span.start);
                let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
                return self.fault(
                    "spawnpoint.toml",
                    format!("is not valid TOML at line {line}"),
                );
            }
        };
        for (key, value) in table {
            // The file is shared with the core, so only our own prefix can be judged.
            if key.starts_with("GATEWAY_") && !known.contains(&key.as_str()) {
                self.fault(&key, "in spawnpoint.toml is not a known key".to_owned());
                continue;
            }
            match value {
                toml::Value::String(text) => drop(self.file.insert(key, text)),
                toml::Value::Integer(number) => drop(self.file.insert(key, number.to_string())),
                toml::Value::Boolean(flag) => drop(self.file.insert(key, flag.to_string())),
                _ if known.contains(&key.as_str()) => {
                    self.fault(
                        &key,
                        "in spawnpoint.toml must be a text or a number".to_owned(),
                    );
                }
                _ => {}
            }
        }
    }

    pub(super) fn fault(&mut self, key: &str, problem: String) {
        self.faults.push(Fault {
            key: key.to_owned(),
            problem,
        });
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// A plain value; an empty one counts as unset.
    fn plain(&self, key: &str) -> Option<String> {
        let value = (self.env)(key).filter(|v| !v.trim().is_empty());
        let value = value.or_else(|| self.file.get(key).filter(|v| !v.trim().is_empty()).cloned());
        value.map(|v| v.trim().to_owned())
    }

    /// A value with a default; what `parse` refuses is a fault.
    pub(super) fn value<T>(
        &mut self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some(text) = self.plain(key) else {
            return default;
        };
        match parse(&text) {
            Ok(value) => value,
            Err(problem) => {
                self.fault(key, problem);
                default
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, key: &str, default: u64, bounds: (u64, u64)) -> u64 {
        self.value(key, default, |text| match text.parse::<u64>() {
            Ok(number) if (bounds.0..=bounds.1).contains(&number) => Ok(number),
            _ => Err(format!(
                "must be a whole number from {} to {}",
                bounds.0, bounds.1
            )),
        })
    }

    /// A required secret: `key`, or `file_key` with the path of a file that holds it.
    pub(super) fn secret<T>(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        parse: ParseSecret<T>,
    ) -> Option<Arc<Rotating<T>>> {
        let loaded = match self.place(key, file_key)? {
            Place::Inline(text) => {
                if text.ends_with(['\n', '\r']) {
                    self.warn(format!("{key} ends in a line break, which was dropped"));
                }
                Rotating::fixed(key, &text, parse).map_err(|problem| (key, problem))
            }
            Place::File(path) => {
                Rotating::from_file(key, path, parse).map_err(|problem| (file_key, problem))
            }
        };
        match loaded {
            Ok(secret) => Some(Arc::new(secret)),
            Err((key, problem)) => {
                self.fault(key, problem);
                None
            }
        }
    }

    /// Either spelling in the environment hides both in the file.
    fn place(&mut self, key: &str, file_key: &str) -> Option<Place> {
        let set = |value: Option<String>| value.filter(|v| !v.trim().is_empty());
        let env = (set((self.env)(key)), set((self.env)(file_key)));
        let (inline, path) = match env {
            (None, None) => (
                set(self.file.get(key).cloned()),
                set(self.file.get(file_key).cloned()),
            ),
            either => either,
        };
        match (inline, path) {
            (Some(_), Some(_)) => {
                self.fault(key, format!("and {file_key} are both set; one is enough"));
                None
            }
            (Some(text), None) => Some(Place::Inline(text)),
            (None, Some(path)) => Some(Place::File(PathBuf::from(path.trim()))),
            (None, None) => {
                self.fault(key, format!("is required (or {file_key})"));
                None
            }
        }
    }

    /// The text of a file that is not a secret.
    pub(super) fn file_text(&mut self, file_key: &str) -> Option<String> {
        let path = self.plain(file_key)?;
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.fault(file_key, format!("cannot be read: {}", error.kind()));
                None
            }
        }
    }

    /// The warnings, or every fault.
    pub(super) fn finish(self) -> Result<Vec<String>, Faults> {
        if self.faults.is_empty() {
            Ok(self.warnings)
        } else {
            Err(Faults(self.faults))
        }
    }
}
