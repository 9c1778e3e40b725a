//! Database failures, sorted by what a caller does about them.

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why a statement or a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A unique key is taken. The constraint or index is named where the engine tells it.
    #[error("unique key taken: {0}")]
    Conflict(String),
    /// A serialisation failure or a deadlock: the whole transaction may be run again.
    #[error("transaction must be repeated")]
    Again(#[source] DbErr),
    /// No connection, pool exhausted, lock not to be had in time: try later.
    #[error("store unavailable")]
    Unavailable(#[source] DbErr),
    /// A lease or fence was lost: somebody else owns the row now.
    #[error("the claim was lost")]
    ClaimLost,
    /// A stored value cannot be read: a bug or a foreign hand.
    #[error("stored value is unreadable: {0}")]
    Corrupt(String),
    /// Anything else: a bug.
    #[error("statement failed")]
    Internal(#[source] DbErr),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable(error),
            DbErr::Exec(runtime) | DbErr::Query(runtime) => match sort(runtime) {
                Sorted::Conflict(name) => Self::Conflict(name),
                Sorted::Again => Self::Again(error),
                Sorted::Unavailable => Self::Unavailable(error),
                Sorted::Other => Self::Internal(error),
            },
            DbErr::Json(text) | DbErr::Type(text) => Self::Corrupt(text.clone()),
            _ => Self::Internal(error),
        }
    }
}

enum Sorted {
    Conflict(String),
    Again,
    Unavailable,
    Other,
}

fn sort(error: &RuntimeErr) -> Sorted {
    let RuntimeErr::SqlxError(error) = error else {
        return Sorted::Other;
    };
    match error.as_ref() {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_) => Sorted::Unavailable,
        sqlx::Error::Database(database) => {
            if database.is_unique_violation() {
                // SQLite names the columns in its message, PostgreSQL the constraint.
                let name = database
                    .constraint()
                    .map_or_else(|| database.message().to_owned(), str::to_owned);
                return Sorted::Conflict(name);
            }
            match database.code().as_deref() {
                // Serialisation failure, deadlock; SQLite: busy snapshot.
                Some("40001" | "40P01" | "517") => Sorted::Again,
                // Lock not available, statement cancelled, admin shutdown and its kin, too many
                // connections, read-only standby, disk full; SQLite: busy, locked, full, I/O error.
                Some(
                    "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "53300" | "25006" | "53100"
                    | "08006" | "08003" | "5" | "6" | "13" | "10",
                ) => Sorted::Unavailable,
                _ => Sorted::Other,
            }
        }
        _ => Sorted::Other,
    }
}

impl Error {
    /// Whether it is a conflict on a key whose name or columns contain `part`.
    pub fn conflicts_on(&self, part: &str) -> bool {
        matches!(self, Self::Conflict(name) if name.contains(part))
    }
}
