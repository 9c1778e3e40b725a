//! `catalog`: what the shop sells, as a file.

use std::{
    fmt::Write,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::{Failure, print};
use crate::{
    app::catalog::file::{self, ApplyError},
    db::Db,
};

#[derive(Debug, Subcommand)]
pub(super) enum Catalog {
    /// Brings the shop to what a file says; tells every fault of the file at once.
    Apply {
        /// The file; `-` reads stdin.
        file: PathBuf,
    },
    /// Prints the whole catalog in the form that `apply` reads.
    Export,
}

impl Catalog {
    pub(super) async fn run(self, db: &Db) -> Result<(), Failure> {
        match self {
            Self::Apply { file } => {
                let text = read(&file)?;
                match file::apply(db, &text).await {
                    Ok(applied) => print(&applied.to_string()),
                    Err(error) => Err(describe(&file, error)),
                }
            }
            Self::Export => print(file::export(db).await?.trim_end()),
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        return Ok(io::read_to_string(io::stdin().lock().by_ref())?);
    }
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()).into())
}

fn describe(path: &Path, error: ApplyError) -> Failure {
    let ApplyError::Faults(faults) = &error else {
        return error.into();
    };
    let mut text = format!("{} was not applied: {error}", path.display());
    for fault in faults {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {fault}");
    }
    text.into()
}
