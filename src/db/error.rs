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
    /// A newer program was here: this one would misread or harm what it stored.
    #[error(
        "the schema is newer than this program: it has the step {0}, which this program does \
         not know; run the newer program"
    )]
    SchemaNewer(String),
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
            database.code().map_or(Sorted::Other, |code| by_code(&code))
        }
        _ => Sorted::Other,
    }
}

/// What the engine calls the error.
fn code(error: &RuntimeErr) -> Option<String> {
    let RuntimeErr::SqlxError(error) = error else {
        return None;
    };
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// Lock not available; SQLite's busy and locked, whatever their further bits.
fn is_busy(code: &str) -> bool {
    match (code.len(), code.parse::<u32>()) {
        (..5, Ok(number)) => matches!(number & 0xff, 5 | 6),
        _ => code == "55P03",
    }
}

/// By SQLSTATE, which has five characters, or by SQLite's number, which has fewer.
fn by_code(code: &str) -> Sorted {
    if let (..5, Ok(number)) = (code.len(), code.parse::<u32>()) {
        // Busy snapshot.
        if number == 517 {
            return Sorted::Again;
        }
        // The low byte is the kind: busy, locked, read-only, I/O error, full, cannot open.
        return match number & 0xff {
            5 | 6 | 8 | 10 | 13 | 14 => Sorted::Unavailable,
            _ => Sorted::Other,
        };
    }
    match code {
        // Serialisation failure, deadlock.
        "40001" | "40P01" => Sorted::Again,
        // Lock not available, read-only standby, idle for too long within a transaction.
        "55P03" | "25006" | "25P03" => Sorted::Unavailable,
        // Connection lost; disk, memory or connections used up; stopped by an operator or
        // a time-out; I/O error.
        _ if ["08", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Sorted::Unavailable
        }
        _ => Sorted::Other,
    }
}

impl Error {
    /// Whether it is a conflict on a key whose name or columns contain `part`.
    pub fn conflicts_on(&self, part: &str) -> bool {
        matches!(self, Self::Conflict(name) if name.contains(part))
    }

    /// Whether a lock was not to be had in time: the transaction is surely rolled back, and the
    /// store is there.
    pub(crate) fn gave_up_waiting(&self) -> bool {
        let Self::Unavailable(DbErr::Exec(error) | DbErr::Query(error)) = self else {
            return false;
        };
        code(error).is_some_and(|code| is_busy(&code))
    }
}

#[cfg(test)]
mod tests {
    use super::{Sorted, by_code, is_busy};

    #[test]
    fn what_passes_by_itself_is_no_bug() {
        // SQLSTATE, and SQLite's extended numbers: busy, I/O error at a write, at the growth
        // of the shared memory, full, cannot open.
        for code in [
            "08006", "25006", "25P03", "53100", "53200", "53300", "55P03", "57014", "57P01",
            "57P03", "58030", "5", "261", "773", "778", "4874", "13", "14", "1032",
        ] {
            assert!(matches!(by_code(code), Sorted::Unavailable), "{code}");
        }
        for code in ["55P03", "5", "6", "261", "517"] {
            assert!(is_busy(code), "{code}");
        }
        for code in ["55006", "40001", "57014", "08006", "13", "778", ""] {
            assert!(!is_busy(code), "{code}");
        }
        for code in ["40001", "40P01", "517"] {
            assert!(matches!(by_code(code), Sorted::Again), "{code}");
        }
        for code in [
            "42P01", "23514", "25P02", "XX001", "1", "11", "26", "275", "",
        ] {
            assert!(matches!(by_code(code), Sorted::Other), "{code}");
        }
    }
}
