//! Logs: JSON lines or readable text on stderr. Stdout belongs to what commands
//! print.
//!
//! Libraries that are asked for detail may print what they carry, and which of them do
//! changes with their versions: h2 and hyper header blocks with bearer tokens, reqwest
//! and tonic requests, sqlx statements with their values. `RUST_LOG=trace` is what
//! people type when they are in trouble, so those are held at INFO whatever the filter
//! says, and no filter can make them write a secret to a log.

use std::{io::IsTerminal, panic};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterFn, fmt::MakeWriter, layer::SubscriberExt, registry::Registry,
    util::SubscriberInitExt,
};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Pretty,
}

/// Crates that print headers, bodies or values at DEBUG or TRACE.
const TALKATIVE: &[&str] = &[
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "reqwest",
    "rustls",
    "sea_orm",
    "sea_orm_migration",
    "sqlx",
    "sqlx_core",
    "sqlx_postgres",
    "sqlx_sqlite",
    "tokio_rustls",
    "tonic",
    "tower",
];

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
#[error("logging was set up before")]
pub struct Installed;

/// Whether an `EnvFilter` can be made of this text; tells what is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), String> {
    EnvFilter::builder()
        .parse(filter)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// What writes lines, and keeps from them what no filter may let through.
pub fn layer<W>(format: Format, filter: &str, writer: W) -> impl Layer<Registry>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse_lossy(filter);
    let lines = tracing_subscriber::fmt::layer();
    let lines = match format {
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .with_writer(writer)
            .boxed(),
        Format::Pretty => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(writer)
            .boxed(),
    };
    lines
        .with_filter(FilterFn::new(is_harmless))
        .with_filter(filter)
}

/// Starts logging for the whole process, and sends panics there as well.
pub fn install(format: Format, filter: &str) -> Result<(), Installed> {
    Registry::default()
        .with(layer(format, filter, std::io::stderr))
        .try_init()
        .map_err(|_| Installed)?;
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("not a text");
        tracing::error!(place, message, "a task panicked");
    }));
    Ok(())
}

fn is_harmless(metadata: &Metadata<'_>) -> bool {
    may_pass(metadata.target(), *metadata.level())
}

fn may_pass(target: &str, level: Level) -> bool {
    let root = target.split("::").next().unwrap_or_default();
    level <= Level::INFO || !TALKATIVE.contains(&root)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::{check_filter, may_pass};

    #[test]
    fn libraries_that_print_headers_are_held_at_info() {
        for target in [
            "h2::codec::framed_write",
            "hyper::proto",
            "sqlx::query",
            "reqwest",
            "tonic",
        ] {
            assert!(may_pass(target, Level::WARN), "{target}");
            assert!(may_pass(target, Level::INFO), "{target}");
            assert!(!may_pass(target, Level::DEBUG), "{target}");
            assert!(!may_pass(target, Level::TRACE), "{target}");
        }
        assert!(may_pass("spawnpoint::rpc", Level::TRACE));
        assert!(may_pass("h2o", Level::TRACE), "another crate");
    }

    #[test]
    fn filters_are_checked_before_they_are_used() {
        for good in ["info", "", "spawnpoint=debug,warn", "spawnpoint[rpc]=trace"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["spawnpoint=loud", "a=b=c"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }
}
