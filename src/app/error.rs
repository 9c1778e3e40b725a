//! What a verb can end with.

use crate::{db, domain};

/// A refusal to tell the caller, or a failure to log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller can understand and act on it.
    #[error(transparent)]
    Refused(#[from] domain::Error),
    /// The store failed.
    #[error("store")]
    Store(#[from] db::Error),
    /// A bug, or an answer of Stripe or the panel that no rule covers. Callers get a fixed text.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// Whether the store is away or busy: the same may go well a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        let Self::Store(error) = self else {
            return false;
        };
        matches!(error, db::Error::Unavailable(_) | db::Error::Again(_))
    }

    /// What was in the way, without its causes.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Store(error) => error.to_string(),
            Self::Refused(_) | Self::Internal(_) => self.to_string(),
        }
    }
}

impl db::tx::BodyError for Error {
    fn database(&self) -> Option<&db::Error> {
        match self {
            Self::Store(error) => Some(error),
            Self::Refused(_) | Self::Internal(_) => None,
        }
    }
}
