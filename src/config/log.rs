//! `LOG_FORMAT` and `RUST_LOG`.

use super::reader::Reader;
use crate::telemetry::{Format, check_filter};

/// Logs.
#[derive(Clone, Debug)]
pub struct Log {
    /// How lines look.
    pub format: Format,
    /// Which lines are written, as `tracing-subscriber` reads it.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: Format::Pretty,
            filter: "info".to_owned(),
        }
    }
}

impl Log {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        let format = match reader.text("LOG_FORMAT").as_deref() {
            None => defaults.format,
            Some("json") => Format::Json,
            Some("pretty") => Format::Pretty,
            Some(other) => {
                reader.fault(
                    "LOG_FORMAT",
                    format!("is {other:?}"),
                    "must be json or pretty",
                );
                defaults.format
            }
        };
        let filter = reader.text("RUST_LOG").unwrap_or(defaults.filter);
        if let Err(problem) = check_filter(&filter) {
            reader.fault("RUST_LOG", problem, "for example info,spawnpoint=debug");
        }
        Self { format, filter }
    }
}
