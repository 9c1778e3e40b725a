//! The program: reads settings, sets up logs, serves until SIGTERM or Ctrl-C.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use gateway::Config;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Takes Stripe's webhooks and hands them to the Spawnpoint core.
#[derive(Parser)]
#[command(name = "spawnpoint-gateway", version)]
struct Args {
    /// Settings file; without this, spawnpoint.toml in the working directory if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How logs are written; pretty on a terminal, json elsewhere. RUST_LOG filters them.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum LogFormat {
    Pretty,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    init_logs(args.log_format);
    match run(args.config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spawnpoint-gateway: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(file: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    // Fails only if a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let text = read_settings(file)?;
    let config = Config::load(environment, text.as_deref())?;
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_on_signal(shutdown.clone()));
    gateway::serve(config, shutdown).await?;
    tracing::info!("gateway stopped");
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn environment(key: &str) -> Option<String> {
    std::env::var_os(key).map(|value| value.to_string_lossy().into_owned())
}

/// A file that was asked for must be there; the default one may be absent.
fn read_settings(file: Option<PathBuf>) -> Result<Option<String>, String> {
    let required = file.is_some();
    let path = file.unwrap_or_else(|| PathBuf::from("spawnpoint.toml"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn init_logs(format: Option<LogFormat>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    });
    match format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Pretty => builder.with_ansi(terminal).init(),
    }
}

async fn cancel_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(error) => {
                tracing::error!(%error, "SIGTERM cannot be caught");
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("shutting down");
    shutdown.cancel();
}
