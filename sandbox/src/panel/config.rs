//! What a panel is started with: its world, its keys and how patient it is.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::auth::KeySpec;
use super::clock::PanelClock;

/// A user that exists from the start or is added later.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The e-mail address.
    pub email: String,
    /// The username.
    pub username: String,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The external id.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Whether the user may use the Application API.
    #[serde(default)]
    pub root_admin: bool,
}

/// A location.
#[derive(Clone, Debug)]
pub struct LocationSpec {
    /// Its short name, as in `us-east`.
    pub short: String,
    /// Its long name.
    pub long: String,
}

/// A node and the ports it begins with.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The location's id.
    pub location: i64,
    /// The host name of its daemon.
    pub fqdn: String,
    /// Memory in MiB.
    pub memory: i64,
    /// Disk in MiB.
    pub disk: i64,
    /// The address of its ports.
    pub ip: IpAddr,
    /// The name that players see in place of the address.
    pub alias: Option<String>,
    /// Its ports; an empty range for none.
    pub ports: RangeInclusive<u16>,
}

/// A nest, which is a group of eggs.
#[derive(Clone, Debug)]
pub struct NestSpec {
    /// The id.
    pub id: i64,
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
}

/// An egg, which is the recipe of a game.
#[derive(Clone, Debug)]
pub struct EggSpec {
    /// The id.
    pub id: i64,
    /// The nest's id.
    pub nest: i64,
    /// The name.
    pub name: String,
    /// Its only image.
    pub docker_image: String,
    /// The start command.
    pub startup: String,
    /// The line that says that the game is up.
    pub done: String,
    /// The command that stops it.
    pub stop: String,
    /// Its variables, in order.
    pub variables: Vec<VariableSpec>,
}

/// A variable of an egg.
#[derive(Clone, Debug)]
pub struct VariableSpec {
    /// The name for people.
    pub name: String,
    /// The name in the environment.
    pub env_variable: String,
    /// The default, which a create does not apply.
    pub default_value: String,
    /// The rules, as in `required|string|max:20`.
    pub rules: String,
    /// Whether the owner may see and change it.
    pub editable: bool,
}

/// Everything a stand-in panel is started with.
#[derive(Clone, Debug)]
pub struct PanelConfig {
    /// Keys; the first is the one that callers use.
    pub keys: Vec<KeySpec>,
    /// Users, with ids from 1.
    pub users: Vec<UserSpec>,
    /// Locations, with ids from 1.
    pub locations: Vec<LocationSpec>,
    /// Nodes, with ids from 1.
    pub nodes: Vec<NodeSpec>,
    /// Nests.
    pub nests: Vec<NestSpec>,
    /// Eggs.
    pub eggs: Vec<EggSpec>,
    /// Requests per 60 s and user.
    pub rate_limit: u32,
    /// How long an install takes; never ends by itself if absent.
    pub install_delay: Option<Duration>,
    /// How long the panel waits for a daemon's answer.
    pub daemon_timeout: Duration,
    /// How long the panel waits for a daemon to take the connection.
    pub daemon_connect_timeout: Duration,
    /// The longest time between a create's validation and its insert; longer makes races likelier.
    pub race_window: Duration,
    /// Seeds uuids and the draw of ports.
    pub seed: u64,
    /// The panel's clock.
    pub clock: PanelClock,
}

impl PanelConfig {
    /// The world of the demo shop: two nodes and one egg for each of its games.
    pub fn shop() -> Self {
        super::worlds::shop()
    }

    /// The world in which the recordings of a real panel were taken.
    pub fn recorded() -> Self {
        super::worlds::recorded()
    }

    /// Sets the requests per 60 s and user.
    pub fn with_rate_limit(mut self, limit: u32) -> Self {
        self.rate_limit = limit;
        self
    }

    /// Sets how long an install takes.
    pub fn with_install_delay(mut self, delay: Duration) -> Self {
        self.install_delay = Some(delay);
        self
    }

    /// Gives every node so many ports, from its first one on.
    pub fn with_ports_per_node(mut self, count: u16) -> Self {
        for node in &mut self.nodes {
            let first = *node.ports.start();
            node.ports = match count.checked_sub(1) {
                Some(more) => first..=first.saturating_add(more),
                // An empty range.
                None => RangeInclusive::new(1, 0),
            };
        }
        self
    }

    /// Makes this the key that callers use.
    pub fn with_key(mut self, key: KeySpec) -> Self {
        self.keys.insert(0, key);
        self
    }

    /// Sets the panel's patience with a daemon: to connect, and in all.
    pub fn with_daemon_timeouts(mut self, connect: Duration, total: Duration) -> Self {
        self.daemon_connect_timeout = connect;
        self.daemon_timeout = total;
        self
    }

    /// Sets the longest time between a create's validation and its insert.
    pub fn with_race_window(mut self, window: Duration) -> Self {
        self.race_window = window;
        self
    }

    /// Seeds uuids and the draw of ports.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the clock.
    pub fn with_clock(mut self, clock: PanelClock) -> Self {
        self.clock = clock;
        self
    }
}
