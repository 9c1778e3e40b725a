//! What Spawnpoint asks of a Pterodactyl panel, and the shapes of the answers.
//!
//! The trait is the seam between our rules and a service we do not own. Every
//! failure is sorted by what the caller may conclude: was it surely not done,
//! may it have been done, is it about this very request. Nothing here knows of
//! orders, tables or gRPC; environments and keys never reach a log or an error.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use async_trait::async_trait;

mod error;
mod exchange;
mod http;
mod paging;
#[cfg(test)]
mod recorded;
mod sort;
mod wire;

pub use error::{Error, Trouble, Violation};
pub use exchange::{KeySource, Transport};
pub use http::{HttpPanel, Settings, SetupError};
pub use paging::Walk;

/// The calls of the Application API that Spawnpoint makes.
///
/// No call retries by itself and none waits for the rate budget: a caller that
/// holds a lease decides what time is worth.
#[async_trait]
pub trait Panel: Send + Sync {
    /// All nodes, by id.
    async fn nodes(&self) -> Result<Vec<Node>, Error>;
    /// One page of a node's ports; pages count from 1.
    async fn allocations(&self, node: i64, page: u32) -> Result<Page<Allocation>, Error>;
    /// An egg with its variables.
    async fn egg(&self, nest: i64, egg: i64) -> Result<Egg, Error>;
    /// The user with this external id, compared exactly.
    async fn user_by_external_id(&self, external_id: &str) -> Result<Option<User>, Error>;
    /// The user with this e-mail address, compared without regard to case over all
    /// pages of the panel's substring search.
    async fn user_by_email(&self, email: &str) -> Result<Option<User>, Error>;
    /// Creates a user without a password: the panel mails the set-up link.
    async fn create_user(&self, user: &NewUser) -> Result<User, Error>;
    /// Writes a user's external id, all else as it was read.
    async fn set_user_external_id(&self, user: &User, external_id: &str) -> Result<User, Error>;
    /// Writes a user as given: user name, e-mail address, names, language and external id, all at
    /// once. Password and rights stay. Asked again it comes to the same.
    async fn update_user(&self, user: &User) -> Result<User, Error>;
    /// Deletes a user; one that is gone already is a success, one that owns servers is rejected.
    async fn delete_user(&self, id: i64) -> Result<(), Error>;
    /// Creates a server with its allocations included in the answer. What could not be
    /// begun by `begin_by` is not sent: the caller's right to send it ends.
    async fn create_server(&self, server: &NewServer, begin_by: Instant) -> Result<Server, Error>;
    /// The server with this external id, compared exactly.
    async fn server_by_external_id(&self, external_id: &str) -> Result<Option<Server>, Error>;
    /// A server by the panel's id; `None` where there is none.
    async fn server(&self, id: i64) -> Result<Option<Server>, Error>;
    /// One page of all servers, newest first; pages count from 1.
    async fn servers(&self, page: u32) -> Result<Page<Server>, Error>;
    /// The environment of a server, secrets included.
    async fn server_environment(&self, id: i64) -> Result<Option<BTreeMap<String, String>>, Error>;
    /// Gives a server these limits, its default port being one that it has already. The panel
    /// tells the node, and counts it as done even where the node does not hear of it. Asked
    /// again it comes to the same, so that a doubtful outcome may be followed by a look and
    /// another try.
    async fn set_build(&self, id: i64, build: &Build) -> Result<Server, Error>;
    /// Writes a server's name, owner, external id and description, all four at once; the
    /// answer has no ports. Asked again it comes to the same.
    async fn set_details(&self, id: i64, details: &Details) -> Result<Server, Error>;
    /// Has the node stop a server and keep it stopped; one that is suspended already is a
    /// success, of which the node hears nothing.
    async fn suspend_server(&self, id: i64) -> Result<(), Error>;
    /// Lets a suspended server be started again; one that is not suspended is a success.
    async fn unsuspend_server(&self, id: i64) -> Result<(), Error>;
    /// Runs the install script again.
    async fn reinstall_server(&self, id: i64) -> Result<(), Error>;
    /// Deletes a server; one that is gone already is a success.
    async fn delete_server(&self, id: i64) -> Result<(), Error>;
    /// Deletes a server whatever its node says: what is on the node stays there.
    async fn force_delete_server(&self, id: i64) -> Result<(), Error>;
}

/// What kind of work a call belongs to. Purchases go before housekeeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A customer waits for it.
    Purchase,
    /// A sweep, a mirror refill, a poll.
    Housekeeping,
}

/// The shared rate budget, asked before every request.
#[async_trait]
pub trait Budget: Send + Sync {
    /// Takes one request out of the budget, or tells how long to wait. Never waits.
    async fn take(&self, class: Class) -> Result<(), Duration>;
    /// Learns from an answer's headers.
    async fn observe(&self, seen: RateSeen);
}

/// What an answer told about the rate limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSeen {
    /// `X-RateLimit-Limit`: requests per 60 s.
    pub limit: Option<u32>,
    /// `X-RateLimit-Remaining`; a hint under concurrency, never a ledger.
    pub remaining: Option<u32>,
    /// `Retry-After` of a 429 of the panel's own throttle.
    pub retry_after: Option<Duration>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// How many pages there are, at least 1.
    pub pages: u32,
}

/// A machine that servers run on.
#[derive(Clone, Debug)]
pub struct Node {
    /// The panel's id.
    pub id: i64,
    /// Tells a rebuilt panel from the one whose ids we know.
    pub uuid: String,
    /// Display name.
    pub name: String,
    /// Host name.
    pub fqdn: String,
    /// MiB.
    pub memory: i64,
    /// MiB.
    pub disk: i64,
    /// The panel does not keep servers off it: we must.
    pub maintenance: bool,
}

/// A port of a node.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// The panel's id.
    pub id: i64,
    /// Address that the server binds to.
    pub ip: String,
    /// Name shown instead of the address.
    pub alias: Option<String>,
    /// Port number.
    pub port: u16,
    /// Whether a server has it.
    pub assigned: bool,
}

/// How a game is installed and started.
#[derive(Clone, Debug)]
pub struct Egg {
    /// The panel's id.
    pub id: i64,
    /// Its nest.
    pub nest: i64,
    /// Display name.
    pub name: String,
    /// Images by label, in the panel's order; never empty.
    pub docker_images: Vec<String>,
    /// Start command.
    pub startup: String,
    /// Every variable: a create must send them all.
    pub variables: Vec<EggVariable>,
}

/// One variable of an egg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EggVariable {
    /// Name in the environment.
    pub env_variable: String,
    /// The egg's default; never applied by the panel itself.
    pub default_value: String,
    /// Whether a customer may change it.
    pub user_editable: bool,
    /// Laravel rules, separated by `|`.
    pub rules: String,
}

/// A panel user.
#[derive(Clone, Debug)]
pub struct User {
    /// The panel's id.
    pub id: i64,
    /// Our user id, where we wrote it.
    pub external_id: Option<String>,
    /// Login name.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// May be absent on very old rows.
    pub first_name: Option<String>,
    /// May be absent on very old rows.
    pub last_name: Option<String>,
    /// Language of the panel.
    pub language: String,
    /// An administrator is never adopted.
    pub root_admin: bool,
}

/// A user to create.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Our user id.
    pub external_id: String,
    /// Derived from the user id alone.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// 1 to 191 characters.
    pub first_name: String,
    /// 1 to 191 characters.
    pub last_name: String,
}

/// A server to create, placed by explicit ports.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NewServer {
    /// Our order id: the panel's idempotency key.
    pub external_id: String,
    /// 1 to 191 characters.
    pub name: String,
    /// The owner's panel id.
    pub user: i64,
    /// The egg's panel id.
    pub egg: i64,
    /// Image.
    pub docker_image: String,
    /// Start command.
    pub startup: String,
    /// Every variable of the egg, as text. May hold secrets.
    pub environment: BTreeMap<String, String>,
    /// Resources.
    pub limits: Limits,
    /// What the customer may make.
    pub features: Features,
    /// The panel's id of the default port.
    pub allocation: i64,
    /// The panel's ids of further ports.
    pub additional: Vec<i64>,
    /// Whether the kernel spares it when it overruns its memory.
    pub oom_disabled: bool,
}

/// Resources of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// MiB.
    pub memory: i64,
    /// MiB.
    pub swap: i64,
    /// MiB.
    pub disk: i64,
    /// Block IO weight, 10 to 1000.
    pub io: i64,
    /// 100 is one core.
    pub cpu: i64,
}

/// What a customer may make on a server; read as -1 where the panel sets no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Features {
    /// Databases.
    pub databases: i64,
    /// Ports in all that the customer may have.
    pub allocations: i64,
    /// Backups.
    pub backups: i64,
}

/// The limits that a server is to have. Ports are neither added nor removed, and what is not
/// named here stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// The panel's id of the default port: one of the server's own, or it is rejected.
    pub allocation: i64,
    /// Resources.
    pub limits: Limits,
    /// What the customer may make, each 0 or more: the panel rejects the -1 that no limit is
    /// read as.
    pub features: Features,
}

/// What a server is called and whose it is. The panel clears what it is not sent, so all of it
/// goes along whichever part is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// 1 to 191 characters.
    pub name: String,
    /// The owner's panel id.
    pub user: i64,
    /// Our order id: without it the panel would forget whose server it is.
    pub external_id: String,
    /// As it was read, unless it is to change; may be empty.
    pub description: String,
}

/// A server as the panel shows it, without its environment.
#[derive(Clone, Debug)]
pub struct Server {
    /// The panel's id; reused after a rebuild.
    pub id: i64,
    /// Our order id, where it is ours.
    pub external_id: Option<String>,
    /// 36 characters.
    pub uuid: String,
    /// 8 characters, as the panel's URLs use it.
    pub identifier: String,
    /// Display name.
    pub name: String,
    /// What someone wrote about it; empty where there is nothing. A rename has to send it again.
    pub description: String,
    /// `None` is normal, else the panel's word.
    pub status: Option<String>,
    /// When it last changed by the panel's clock, Unix seconds; `None` where the panel does not say.
    pub changed_at: Option<i64>,
    /// Resources.
    pub limits: Limits,
    /// What the customer may make.
    pub features: Features,
    /// The owner's panel id.
    pub user: i64,
    /// The node's panel id.
    pub node: i64,
    /// The panel's id of the default port.
    pub allocation: i64,
    /// The egg's panel id.
    pub egg: i64,
    /// All ports, default included, where they were asked for.
    pub allocations: Option<Vec<Allocation>>,
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("external_id", &self.external_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewServer")
            .field("external_id", &self.external_id)
            .field("allocation", &self.allocation)
            .finish_non_exhaustive()
    }
}
