//! `spawnpoint-soak MINUTES [SEED]`: sells servers under fire, and audits.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use sandbox::{
    demo::Story,
    soak::{self, Options},
};
use tracing_subscriber::EnvFilter;

/// Sells servers while everything goes wrong, and audits the shop all along.
#[derive(Parser)]
struct Args {
    /// How long customers come.
    minutes: u64,
    /// Repeats the choices of an earlier run; random without.
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed before");
    }
    let seed = args
        .seed
        .unwrap_or_else(|| rand::random_range(0..1_000_000));
    let lasts = Duration::from_secs(args.minutes.saturating_mul(60));
    let story = Story::default();
    story.line(&format!("soak of {} minutes, seed {seed}", args.minutes));
    let ended = tokio::select! {
        ended = soak::run(Options { lasts, seed }, &story) => ended,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match ended {
        Ok(()) => {
            story.line(&format!("\nno violation, seed {seed}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            story.line(&format!("\nFAILED, seed {seed}: {error}"));
            ExitCode::FAILURE
        }
    }
}
