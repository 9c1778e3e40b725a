//! Which node a server goes to. The same code decides at checkout, answers
//! CheckAvailability and explains itself to operators.

use super::{MINUTE_US, words::words};

/// A node on which creates go on failing for so long is not sold any more.
pub const FAILING_US: i64 = 10 * MINUTE_US;
/// A node that was not avoided for so long is well again.
pub const WELL_US: i64 = 10 * MINUTE_US;

words! {
    /// How a node is chosen among those that fit.
    Strategy {
        /// The emptiest: neighbours disturb each other least.
        Spread = "spread",
        /// The fullest that still fits: leaves room for big servers.
        Pack = "pack",
    }
}

words! {
    /// Why a node does not take a server.
    Obstacle {
        /// An operator has switched it off.
        Disabled = "DISABLED",
        /// It is being worked on.
        Maintenance = "MAINTENANCE",
        /// The panel's node is not the one we know.
        PanelChanged = "PANEL_CHANGED",
        /// Its ports have not been read yet.
        WarmingUp = "WARMING_UP",
        /// Creates failed there a moment ago: nothing is made there now, and held only
        /// where no other node has room.
        Avoided = "AVOIDED",
        /// Creates have been failing there for minutes.
        Failing = "FAILING",
        /// Not enough memory.
        Ram = "NO_RAM",
        /// Not enough disk.
        Disk = "NO_DISK",
        /// Not enough cores.
        Cpu = "NO_CPU",
        /// Not enough free ports on one address.
        Ports = "NO_PORTS",
    }
}

/// What placement knows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Ours, not the panel's.
    pub id: i32,
    /// Display name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Whether an operator lets it take servers.
    pub enabled: bool,
    /// Ours or the panel's maintenance mode.
    pub maintenance: bool,
    /// The panel's node is not the one we know.
    pub panel_changed: bool,
    /// Whether its ports have been read at least once.
    pub ports_known: bool,
    /// Creates failed there until this time.
    pub avoided_until_us: i64,
    /// Since when they fail, if they do.
    pub failing_since_us: Option<i64>,
    /// 100 is usual; heavier is preferred.
    pub weight: i32,
    /// Capacity less headroom.
    pub max_ram_gb: i32,
    /// Capacity.
    pub max_disk_gb: i32,
    /// Capacity, where cores are counted.
    pub max_vcores: Option<i32>,
    /// Held by orders.
    pub held_ram_gb: i32,
    /// Held by orders.
    pub held_disk_gb: i32,
    /// Held by orders.
    pub held_vcores: i32,
    /// Free ports.
    pub free_ports: i32,
}

/// What a server takes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Memory.
    pub ram_gb: i32,
    /// Disk, swap included.
    pub disk_gb: i32,
    /// Cores.
    pub vcores: i32,
    /// Ports.
    pub ports: i32,
}

/// How placement judges one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The node.
    pub node_id: i32,
    /// Why it does not fit; empty where it does.
    pub obstacles: Vec<Obstacle>,
    /// How many such servers it has room for.
    pub remaining: i32,
    /// The highest wins.
    pub score: f64,
}

impl Verdict {
    /// Whether the node takes the server now.
    pub fn fits(&self) -> bool {
        self.obstacles.is_empty()
    }

    /// Whether room may be held there for a server that is made later: a passing trouble
    /// is over by the time its customer has paid.
    pub fn sellable(&self) -> bool {
        self.obstacles
            .iter()
            .all(|obstacle| *obstacle == Obstacle::Avoided)
    }
}

impl Node {
    /// Memory left for servers.
    pub fn free_ram_gb(&self) -> i32 {
        (self.max_ram_gb - self.held_ram_gb).max(0)
    }

    /// Disk left for servers.
    pub fn free_disk_gb(&self) -> i32 {
        (self.max_disk_gb - self.held_disk_gb).max(0)
    }

    fn free_vcores(&self) -> Option<i32> {
        self.max_vcores.map(|max| (max - self.held_vcores).max(0))
    }
}

/// Whether creates fail on the node, and for how long they have.
fn trouble(node: &Node, now_us: i64) -> Option<Obstacle> {
    if node.avoided_until_us <= now_us {
        None
    } else if node
        .failing_since_us
        .is_some_and(|since_us| now_us - since_us > FAILING_US)
    {
        Some(Obstacle::Failing)
    } else {
        Some(Obstacle::Avoided)
    }
}

/// Judges one node.
pub fn judge(node: &Node, need: Need, strategy: Strategy, now_us: i64) -> Verdict {
    let trouble = trouble(node, now_us);
    let checks = [
        (node.enabled, Obstacle::Disabled),
        (!node.maintenance, Obstacle::Maintenance),
        (!node.panel_changed, Obstacle::PanelChanged),
        (node.ports_known, Obstacle::WarmingUp),
        (trouble != Some(Obstacle::Avoided), Obstacle::Avoided),
        (trouble != Some(Obstacle::Failing), Obstacle::Failing),
        (node.free_ram_gb() >= need.ram_gb, Obstacle::Ram),
        (node.free_disk_gb() >= need.disk_gb, Obstacle::Disk),
        (
            node.free_vcores().is_none_or(|free| free >= need.vcores),
            Obstacle::Cpu,
        ),
        (
            !node.ports_known || node.free_ports >= need.ports,
            Obstacle::Ports,
        ),
    ];
    let obstacles: Vec<Obstacle> = checks
        .into_iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, obstacle)| obstacle)
        .collect();
    let by = |free: i32, wanted: i32| if wanted > 0 { free / wanted } else { i32::MAX };
    let mut verdict = Verdict {
        node_id: node.id,
        obstacles,
        remaining: 0,
        score: score(node, strategy),
    };
    if verdict.sellable() {
        verdict.remaining = by(node.free_ram_gb(), need.ram_gb)
            .min(by(node.free_disk_gb(), need.disk_gb))
            .min(
                node.free_vcores()
                    .map_or(i32::MAX, |free| by(free, need.vcores)),
            )
            .min(by(node.free_ports, need.ports));
    }
    verdict
}

fn score(node: &Node, strategy: Strategy) -> f64 {
    let free = f64::from(node.free_ram_gb()) / f64::from(node.max_ram_gb.max(1));
    let preference = match strategy {
        Strategy::Spread => free,
        Strategy::Pack => 1.0 - free,
    };
    // The weight scales what is left after a floor, so that it also orders nodes of equal load.
    (0.01 + preference) * f64::from(node.weight)
}

/// All nodes judged, best first: those that fit, those where room may be held, those that
/// do not fit; then by score, then by id, so that every replica ranks alike.
pub fn rank(nodes: &[Node], need: Need, strategy: Strategy, now_us: i64) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = nodes
        .iter()
        .map(|node| judge(node, need, strategy, now_us))
        .collect();
    verdicts.sort_by(|a, b| {
        b.fits()
            .cmp(&a.fits())
            .then(b.sellable().cmp(&a.sellable()))
            .then(b.score.total_cmp(&a.score))
            .then(a.node_id.cmp(&b.node_id))
    });
    verdicts
}

#[cfg(test)]
mod tests;
