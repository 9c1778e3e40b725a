//! Values that must not be shown and may change while the process runs.
//!
//! A `Rotating` secret comes from a variable, or from a file that is read again
//! every second: requests only ever see the last value that could be read and
//! parsed, so a half-written or removed file never locks Stripe out.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};

use crate::metrics::Metrics;

/// Turns the text of a secret into what is used; the problem must not repeat the text.
pub type ParseSecret<T> = fn(&str) -> Result<T, String>;

/// A secret and where its next value comes from.
pub struct Rotating<T> {
    key: &'static str,
    file: Option<PathBuf>,
    parse: ParseSecret<T>,
    current: RwLock<Loaded<T>>,
}

struct Loaded<T> {
    text: SecretString,
    value: Arc<T>,
}

impl<T> Rotating<T> {
    /// A secret given in place; it never changes.
    pub fn fixed(key: &'static str, text: &str, parse: ParseSecret<T>) -> Result<Self, String> {
        Ok(Self {
            key,
            file: None,
            parse,
            current: RwLock::new(load(text, parse)?),
        })
    }

    /// A secret in a file, read now and then again by `watch`.
    pub fn from_file(
        key: &'static str,
        file: PathBuf,
        parse: ParseSecret<T>,
    ) -> Result<Self, String> {
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&error))?;
        let current = RwLock::new(load(&text, parse)?);
        Ok(Self {
            key,
            file: Some(file),
            parse,
            current,
        })
    }

    /// The newest good value.
    pub fn current(&self) -> Arc<T> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .value
            .clone()
    }

    /// Reads the file again; true if its text differs from the last good one.
    pub async fn refresh(&self) -> Result<bool, String> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let text = tokio::fs::read_to_string(file)
            .await
            .map_err(|error| unreadable(&error))?;
        let known = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            current.text.expose_secret() == text
        };
        if known {
            return Ok(false);
        }
        let next = load(&text, self.parse)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(true)
    }

    /// Keeps the value up to date with its file until `shutdown`.
    pub(crate) async fn watch(
        self: Arc<Self>,
        every: Duration,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) {
        if self.file.is_none() {
            return;
        }
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.refresh().await {
                Ok(changed) => {
                    if changed {
                        tracing::info!(key = self.key, "secret file changed, new value in use");
                    }
                    failures = 0;
                }
                Err(problem) => {
                    failures = failures.saturating_add(1);
                    // Not at the first, which may be a file in the middle of being
                    // written; and once per fault, not once per second.
                    if failures == 2 {
                        metrics.alarm("secret_file");
                        tracing::error!(key = self.key, problem, "secret file, old value kept");
                    }
                }
            }
        }
    }
}

impl<T> fmt::Debug for Rotating<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotating")
            .field("key", &self.key)
            .field("file", &self.file)
            .finish()
    }
}

fn load<T>(text: &str, parse: ParseSecret<T>) -> Result<Loaded<T>, String> {
    Ok(Loaded {
        text: SecretString::from(text),
        value: Arc::new(parse(text)?),
    })
}

/// The kind only: enough for an operator, and the same on every system.
fn unreadable(error: &std::io::Error) -> String {
    format!("cannot be read: {}", error.kind())
}

/// The `authorization` value of every call to the core; shown nowhere.
#[derive(Debug, Clone)]
pub struct BearerToken(MetadataValue<Ascii>);

impl BearerToken {
    /// Takes the bare token; blanks around it are dropped.
    pub fn parse(text: &str) -> Result<Self, String> {
        let token = text.trim();
        if token.is_empty() {
            return Err("holds no token".to_owned());
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("may hold visible ASCII characters only".to_owned());
        }
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
            .parse()
            .map_err(|_| "cannot be sent as a header".to_owned())?;
        // Keeps it out of HPACK tables and of every Debug output.
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The header value.
    pub fn value(&self) -> MetadataValue<Ascii> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_and_a_bad_one_keeps_the_old_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        std::fs::write(&path, "first\n").unwrap();
        let secret = Rotating::from_file("KEY", path.clone(), BearerToken::parse).unwrap();
        assert_eq!(secret.current().value(), "Bearer first");
        assert_eq!(secret.refresh().await, Ok(false));

        std::fs::write(&path, "second\n").unwrap();
        assert_eq!(secret.refresh().await, Ok(true));
        assert_eq!(secret.current().value(), "Bearer second");

        std::fs::write(&path, "\n").unwrap();
        assert_eq!(secret.refresh().await, Err("holds no token".to_owned()));
        std::fs::remove_file(&path).unwrap();
        assert!(
            secret
                .refresh()
                .await
                .unwrap_err()
                .starts_with("cannot be read")
        );
        assert_eq!(secret.current().value(), "Bearer second");
    }

    #[test]
    fn tokens_are_checked_and_hidden() {
        assert_eq!(
            BearerToken::parse(" spt_abc\n").unwrap().value(),
            "Bearer spt_abc"
        );
        for text in ["", "  ", "spt a", "spt_\u{e9}", "a\nb"] {
            assert!(BearerToken::parse(text).is_err(), "{text:?}");
        }
        let secret = Rotating::fixed("KEY", "spt_canary", BearerToken::parse).unwrap();
        assert!(!format!("{secret:?} {:?}", secret.current()).contains("canary"));
    }
}
