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
    /// As the service logs.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self::read_over(reader, Self::default())
    }

    /// As a command that ends at once logs: what it prints is what it did.
    pub(super) fn read_for_tools(reader: &mut Reader<'_>) -> Self {
        Self::read_over(
            reader,
            Self {
                filter: "warn".to_owned(),
                ..Self::default()
            },
        )
    }

    fn read_over(reader: &mut Reader<'_>, defaults: Self) -> Self {
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
