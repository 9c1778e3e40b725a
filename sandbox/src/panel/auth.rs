//! Keys: who a bearer token belongs to, what it may touch and from where.
//!
//! Knows nothing of routes; the gate asks it in the panel's order.

use std::net::IpAddr;

use time::OffsetDateTime;

/// What a right of an application key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Servers.
    Servers,
    /// Nodes.
    Nodes,
    /// Allocations, which are a node's ports.
    Allocations,
    /// Users.
    Users,
    /// Locations.
    Locations,
    /// Nests.
    Nests,
    /// Eggs.
    Eggs,
    /// Databases of servers.
    Databases,
}

/// The rights of a key on each resource: a bit mask, 1 read, 2 write, 3 both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grants([u8; 8]);

impl Grants {
    /// Reads and writes everything.
    pub const ALL: Self = Self([3; 8]);
    /// Reads everything, writes nothing.
    pub const READ_ONLY: Self = Self([1; 8]);

    /// The same rights without any on one resource.
    pub fn without(mut self, resource: Resource) -> Self {
        self.0[resource as usize] = 0;
        self
    }

    pub(crate) fn can_read(self, resource: Resource) -> bool {
        self.0[resource as usize] & 1 != 0
    }

    pub(crate) fn can_write(self, resource: Resource) -> bool {
        self.0[resource as usize] & 2 != 0
    }
}

/// The two kinds of keys of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// An application key (`ptla_`), bound by its rights.
    Application,
    /// An account key (`ptlc_`), which has every right its owner has.
    Account,
}

/// One API key.
#[derive(Clone)]
pub struct KeySpec {
    /// The bearer token.
    pub token: String,
    /// The user it belongs to.
    pub user: i64,
    /// Its kind.
    pub kind: KeyKind,
    /// Its rights; an account key ignores them.
    pub grants: Grants,
    /// Addresses it may be used from; empty allows all.
    pub allowed_ips: Vec<IpAddr>,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
}

impl KeySpec {
    /// An application key with every right.
    pub fn application(token: impl Into<String>, user: i64) -> Self {
        Self {
            token: token.into(),
            user,
            kind: KeyKind::Application,
            grants: Grants::ALL,
            allowed_ips: Vec::new(),
            expires_at: None,
        }
    }

    /// An account key.
    pub fn account(token: impl Into<String>, user: i64) -> Self {
        Self {
            kind: KeyKind::Account,
            ..Self::application(token, user)
        }
    }

    /// The same key with other rights.
    pub fn with_grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    pub(crate) fn effective_grants(&self) -> Grants {
        match self.kind {
            KeyKind::Application => self.grants,
            KeyKind::Account => Grants::ALL,
        }
    }
}

impl std::fmt::Debug for KeySpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySpec")
            .field("token", &"<redacted>")
            .field("user", &self.user)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The token of an `Authorization: Bearer` header; other schemes and an empty token are none.
pub(crate) fn bearer(header: Option<&str>) -> Option<&str> {
    let (scheme, token) = header?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The key of a token, unless it is unknown or expired.
pub(crate) fn authenticate<'a>(
    keys: &'a [KeySpec],
    token: Option<&str>,
    now: OffsetDateTime,
) -> Option<&'a KeySpec> {
    let token = token?;
    let key = keys.iter().find(|key| key.token == token)?;
    match key.expires_at {
        Some(expires_at) if expires_at <= now => None,
        _ => Some(key),
    }
}
