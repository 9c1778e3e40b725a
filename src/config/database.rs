//! `DATABASE_*`: where the store is.

use std::{fmt, time::Duration};

use secrecy::ExposeSecret;

use super::{
    SecretSource,
    reader::{Reader, Secret},
};
use crate::db::connect::Options;

/// The store.
#[derive(Clone)]
pub struct Database {
    /// `sqlite://file` or `postgres://user:password@host/name`; a secret for its password.
    pub url: SecretSource,
    /// Connections: of the pool on PostgreSQL, of the readers on SQLite.
    pub max_connections: u32,
    /// How long a call waits for a connection before it is told UNAVAILABLE.
    pub acquire_timeout: Duration,
    /// How long start-up waits for a PostgreSQL that is not there yet.
    pub start_timeout: Duration,
}

impl Database {
    /// The usual limits for the store at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: SecretSource::fixed(url.into()),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(3),
            start_timeout: Duration::from_secs(30),
        }
    }

    /// What the store is opened with; reads the address anew where it is in a file.
    pub fn options(&self) -> Options {
        Options {
            url: self.url.get().expose_secret().to_owned(),
            max_connections: self.max_connections,
            acquire_timeout: self.acquire_timeout,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let defaults = Self::at("sqlite://spawnpoint.db");
        let url = match reader.secret("DATABASE_URL") {
            Secret::Absent | Secret::Broken => defaults.url,
            Secret::Given(url) => {
                let known = ["sqlite:", "postgres:", "postgresql:"];
                if !known
                    .iter()
                    .any(|scheme| url.get().expose_secret().starts_with(scheme))
                {
                    let hint = "must be sqlite://file or postgres://user:password@host/name";
                    reader.fault("DATABASE_URL", "is no address of a store", hint);
                }
                url
            }
        };
        Self {
            url,
            max_connections: reader.number(
                "DATABASE_MAX_CONNECTIONS",
                defaults.max_connections,
                // Migrating on PostgreSQL needs two.
                2..=1000,
            ),
            acquire_timeout: reader.seconds(
                "DATABASE_ACQUIRE_SECONDS",
                defaults.acquire_timeout,
                0.1..=60.0,
            ),
            start_timeout: reader.seconds(
                "DATABASE_START_SECONDS",
                defaults.start_timeout,
                0.0..=600.0,
            ),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
