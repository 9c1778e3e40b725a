//! Secrets that may change while the process runs: a file that an operator, or a
//! secret store, replaces.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use secrecy::SecretString;

/// Larger files are no secrets: somebody named the wrong one.
const MAX_BYTES: u64 = 64 << 10;

/// Gives the secret of the moment. Cheap to clone; clones share what was read.
#[derive(Clone)]
pub struct SecretSource(Arc<Kind>);

enum Kind {
    Fixed(SecretString),
    File { path: PathBuf, read: Mutex<Read> },
}

struct Read {
    stamp: Stamp,
    value: SecretString,
}

/// Changes when a file is replaced or rewritten.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl SecretSource {
    /// A secret that never changes.
    pub fn fixed(value: impl Into<SecretString>) -> Self {
        Self(Arc::new(Kind::Fixed(value.into())))
    }

    /// The content of a file, without white space around it; read again when the
    /// file's time or size changes. Tells what is wrong with the file.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, String> {
        let path = path.as_ref().to_owned();
        let read = read(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
        Ok(Self(Arc::new(Kind::File {
            path,
            read: Mutex::new(read),
        })))
    }

    /// The secret of the moment. A file that cannot be read just now (it is being
    /// replaced) leaves the value as it was.
    pub fn get(&self) -> SecretString {
        let (path, read) = match &*self.0 {
            Kind::Fixed(value) => return value.clone(),
            Kind::File { path, read } => (path, read),
        };
        let mut known = read.lock().unwrap_or_else(PoisonError::into_inner);
        match stamp(path) {
            Ok(now) if now == known.stamp => {}
            Ok(now) => match self::read(path) {
                Ok(fresh) => *known = fresh,
                Err(problem) => {
                    // Not tried again before the file changes once more: one line is enough.
                    known.stamp = now;
                    warn(path, &problem);
                }
            },
            Err(_) if known.stamp == GONE => {}
            Err(problem) => {
                known.stamp = GONE;
                warn(path, &problem);
            }
        }
        known.value.clone()
    }
}

const GONE: Stamp = Stamp {
    modified: None,
    bytes: u64::MAX,
};

fn warn(path: &Path, problem: &str) {
    let path = path.display();
    tracing::warn!(%path, problem, "a secret's file cannot be read; the last value is kept");
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    Ok(Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
    })
}

fn read(path: &Path) -> Result<Read, String> {
    // The stamp is taken first: a change in between is seen by the next look.
    let stamp = stamp(path)?;
    if stamp.bytes > MAX_BYTES {
        return Err("is too large to be a secret".to_owned());
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let value = text.trim();
    if value.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(Read {
        stamp,
        value: SecretString::from(value),
    })
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Fixed(_) => f.write_str("SecretSource(fixed)"),
            Kind::File { path, .. } => write!(f, "SecretSource({})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use secrecy::ExposeSecret;

    use super::SecretSource;

    /// File systems keep times coarsely: make sure that a rewrite has another one.
    fn rewrite(path: &std::path::Path, text: &str, age_s: u64) {
        fs::write(path, text).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        let modified = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + age_s);
        file.set_modified(modified).unwrap();
    }

    #[test]
    fn a_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        rewrite(&path, "sk_test_one\n", 1);
        let source = SecretSource::file(&path).unwrap();
        let twin = source.clone();
        assert_eq!(source.get().expose_secret(), "sk_test_one");
        rewrite(&path, "sk_test_two", 2);
        assert_eq!(source.get().expose_secret(), "sk_test_two");
        assert_eq!(twin.get().expose_secret(), "sk_test_two");
        // The same size and another time: the time decides.
        rewrite(&path, "sk_test_six", 3);
        assert_eq!(source.get().expose_secret(), "sk_test_six");
        // The same time and another size: the size decides.
        rewrite(&path, "sk_test_seven", 3);
        assert_eq!(source.get().expose_secret(), "sk_test_seven");
    }

    #[test]
    fn the_last_value_outlives_a_broken_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        rewrite(&path, "sk_test_one", 1);
        let source = SecretSource::file(&path).unwrap();
        rewrite(&path, "", 2);
        assert_eq!(source.get().expose_secret(), "sk_test_one");
        fs::remove_file(&path).unwrap();
        for _ in 0..2 {
            assert_eq!(source.get().expose_secret(), "sk_test_one");
        }
        rewrite(&path, "sk_test_two", 3);
        assert_eq!(source.get().expose_secret(), "sk_test_two");
    }

    #[test]
    fn a_file_that_is_no_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(SecretSource::file(&path).is_err(), "missing");
        for (text, problem) in [
            (" \n".to_owned(), "is empty"),
            ("x".repeat(70_000), "too large"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(SecretSource::file(&path).unwrap_err().contains(problem));
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let source = SecretSource::fixed("sk_test_one".to_owned());
        assert_eq!(format!("{source:?}"), "SecretSource(fixed)");
    }
}
