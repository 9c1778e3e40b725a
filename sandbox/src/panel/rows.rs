//! The rows the panel keeps, as its database would hold them. Plain data: no rule, no JSON.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub id: i64,
    pub external_id: Option<String>,
    pub uuid: Uuid,
    pub username: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub language: String,
    pub root_admin: bool,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub id: i64,
    pub short: String,
    pub long: String,
    pub created_at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub id: i64,
    pub uuid: Uuid,
    pub name: String,
    pub description: String,
    pub location_id: i64,
    pub fqdn: String,
    pub public: bool,
    pub maintenance_mode: bool,
    pub memory: i64,
    pub memory_overallocate: i64,
    pub disk: i64,
    pub disk_overallocate: i64,
    pub daemon_token: String,
    pub created_at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub(crate) struct Nest {
    pub id: i64,
    pub uuid: Uuid,
    pub name: String,
    pub description: String,
    pub created_at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub(crate) struct Egg {
    pub id: i64,
    pub uuid: Uuid,
    pub nest_id: i64,
    pub name: String,
    pub description: String,
    pub docker_image: String,
    pub startup: String,
    pub done: String,
    pub stop: String,
    pub variables: Vec<Variable>,
    pub created_at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub id: i64,
    pub name: String,
    pub description: String,
    pub env_variable: String,
    pub default_value: String,
    pub editable: bool,
    pub rules: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    pub id: i64,
    pub node_id: i64,
    pub ip: String,
    pub alias: Option<String>,
    pub port: u16,
    pub notes: Option<String>,
    /// Who the port is listed under. Nothing ties it to `Server::allocation_id`.
    pub server_id: Option<i64>,
}

/// The one status column: a server cannot be suspended and installing at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Normal,
    Installing,
    InstallFailed,
    ReinstallFailed,
    RestoringBackup,
    Suspended,
}

impl Status {
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Normal => None,
            Self::Installing => Some("installing"),
            Self::InstallFailed => Some("install_failed"),
            Self::ReinstallFailed => Some("reinstall_failed"),
            Self::RestoringBackup => Some("restoring_backup"),
            Self::Suspended => Some("suspended"),
        }
    }

    pub(crate) fn from_word(word: Option<&str>) -> Option<Self> {
        match word {
            None => Some(Self::Normal),
            Some("installing") => Some(Self::Installing),
            Some("install_failed") => Some(Self::InstallFailed),
            Some("reinstall_failed") => Some(Self::ReinstallFailed),
            Some("restoring_backup") => Some(Self::RestoringBackup),
            Some("suspended") => Some(Self::Suspended),
            Some(_) => None,
        }
    }

    /// What the panel shows as `container.installed`: a suspended server counts as installed.
    pub(crate) fn installed(self) -> bool {
        !matches!(self, Self::Installing | Self::InstallFailed)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    pub memory: i64,
    pub swap: i64,
    pub disk: i64,
    pub io: i64,
    pub cpu: i64,
    pub threads: Option<String>,
    pub oom_disabled: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct FeatureLimits {
    pub databases: Option<i64>,
    pub allocations: Option<i64>,
    pub backups: i64,
}

/// An install that the daemon has begun and will report on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingInstall {
    pub due: OffsetDateTime,
    pub reinstall: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub id: i64,
    pub external_id: Option<String>,
    pub uuid: Uuid,
    pub name: String,
    pub description: String,
    pub status: Status,
    pub owner_id: i64,
    pub node_id: i64,
    pub allocation_id: i64,
    pub egg_id: i64,
    pub startup: String,
    pub image: String,
    pub limits: Limits,
    pub features: FeatureLimits,
    /// Stored values by variable id; values of an egg the server left behind stay.
    pub values: BTreeMap<i64, String>,
    pub install: Option<PendingInstall>,
    pub transferring: bool,
    pub database_host_down: bool,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Server {
    pub(crate) fn identifier(&self) -> String {
        let mut text = self.uuid.to_string();
        text.truncate(8);
        text
    }
}
