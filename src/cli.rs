//! The command line: what can be asked of the binary, and what it prints.
//!
//! What a command is for goes to stdout, everything else (logs, remarks, errors)
//! to stderr, so that `$(spawnpoint token create ...)` is a token.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, Faults, Log, Source, ToolConfig},
    db::Db,
    rpc::status::chain,
    telemetry,
};

mod catalog;
mod serve;
mod token;

/// As `sysexits.h` has it: something is wrong with the configuration.
const EXIT_CONFIG: u8 = 78;
const CONFIG_FILE: &str = "spawnpoint.toml";

/// Control plane of a game-server shop.
#[derive(Debug, Parser)]
#[command(name = "spawnpoint", version, about)]
struct Args {
    /// Settings, where the environment has none; ./spawnpoint.toml if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves gRPC and works on orders until it is told to stop.
    Serve(serve::Serve),
    /// Brings the database schema up to date and ends.
    Migrate,
    /// Reads or writes what the shop sells.
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// Makes and ends API tokens.
    #[command(subcommand)]
    Token(token::Token),
}

/// Why a command failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command that the process was started with.
pub async fn run() -> ExitCode {
    let args = Args::parse();
    match dispatch(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = chain(failure.as_ref());
            // Nobody is left to tell where even that fails.
            let _ = writeln!(io::stderr(), "error: {text}");
            if failure.is::<Faults>() {
                ExitCode::from(EXIT_CONFIG)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn dispatch(args: Args) -> Result<(), Failure> {
    let source = source(args.config.as_deref())?;
    match args.command {
        Command::Serve(serve) => {
            let config = Config::read(&source)?;
            log(&config.log)?;
            serve.run(config).await
        }
        Command::Migrate => {
            open(&source).await?;
            say("the database schema is up to date")
        }
        Command::Catalog(catalog) => catalog.run(&open(&source).await?).await,
        Command::Token(token) => token.run(&open(&source).await?).await,
    }
}

fn source(path: Option<&Path>) -> Result<Source<'static>, Faults> {
    Source::process(path.unwrap_or(Path::new(CONFIG_FILE)), path.is_some())
}

/// The store, for a command that ends at once. Its schema is brought up to date,
/// so that the first command on a fresh machine may be any.
async fn open(source: &Source<'_>) -> Result<Db, Failure> {
    let config = ToolConfig::read(source)?;
    log(&config.log)?;
    let db = Db::open(&config.database.options()).await?;
    db.migrate().await?;
    Ok(db)
}

fn log(log: &Log) -> Result<(), Failure> {
    Ok(telemetry::install(log.format, &log.filter)?)
}

/// Prints what the command is for.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Remarks on what was done.
fn say(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stderr().lock(), "{text}")?)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Args;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn commands_are_read_as_documented() {
        for line in [
            "serve",
            "serve --no-worker",
            "serve --worker-only",
            "serve --insecure-loopback --config x.toml",
            "migrate",
            "catalog apply shop.toml",
            "catalog export",
            "token create --role operator --name me",
            "token create --role viewer --name me --expires-days 30",
            "token list",
            "token revoke --name me",
        ] {
            let words = std::iter::once("spawnpoint").chain(line.split(' '));
            assert!(Args::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "",
            "serve --no-worker --worker-only",
            "token create --role customer --name me",
            "token create --role operator",
            "token create --role operator --name me --expires-days 0",
            "catalog apply",
        ] {
            let words = std::iter::once("spawnpoint").chain(line.split_whitespace());
            assert!(Args::try_parse_from(words).is_err(), "{line}");
        }
    }
}
