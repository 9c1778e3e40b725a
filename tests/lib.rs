//! What the tests of this folder need of the repository around them.
//!
//! They are a package of their own so that what they test can be built in another way than
//! they are: see `scripts/lib/optimised.toml`.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Names the file with settings for cargo that the tests were built with, if any.
const CONFIG: &str = "SPAWNPOINT_CARGO_CONFIG";

/// The top level of the repository: this package lies one below it.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// A program of the repository, as its sources are now: the first to ask has them all built,
/// which takes a moment where that was done.
///
/// # Errors
/// They cannot be built, or none has this name.
pub fn program(name: &str) -> io::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT
        .get_or_init(|| build().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|why| io::Error::other(why.clone()))?;
    let path = folder.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        let why = format!("{} is not there", path.display());
        Err(io::Error::new(io::ErrorKind::NotFound, why))
    }
}

/// Builds them beside the tests, and says where.
fn build() -> io::Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    if let Some(file) = env::var_os(CONFIG) {
        command.arg("--config").arg(file);
    }
    // What cargo tells a test of its package is news to build scripts that look at it, and
    // everything above those would be built again, here and by whoever builds next.
    let told = env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "OUT_DIR"
    });
    for name in told {
        command.env_remove(name);
    }
    let output = command
        .args(["build", "--locked", "--quiet"])
        .current_dir(root())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(said));
    }
    // The tests lie in the profile's folder, in `deps`.
    let test = env::current_exe()?;
    let folder = test.parent().and_then(Path::parent);
    let folder = folder.ok_or_else(|| io::Error::other("a test without a folder"))?;
    Ok(folder.to_owned())
}
