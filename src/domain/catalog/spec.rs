//! What a purchase amounts to on the panel and takes of a node. One value is
//! both held and sent, so that what is sold, held and made cannot differ.

use serde::{Deserialize, Serialize};

use super::{Addon, Game, Plan};
use crate::domain::placement::Need;

/// 1 GB on a price list is 1024 MiB on the panel.
const MB_PER_GB: i64 = 1024;
/// The panel counts CPU in percent of one core.
const PERCENT_PER_CORE: i64 = 100;

/// The limits of a server, as the panel gets them. Stored with the order: a
/// later change of the catalog does not change what was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The games row.
    pub game: String,
    /// Memory.
    pub ram_mb: i64,
    /// Disk, swap not included.
    pub disk_mb: i64,
    /// Swap.
    pub swap_mb: i64,
    /// 100 is one core.
    pub cpu_percent: i64,
    /// Databases that the customer may make.
    pub databases: i32,
    /// Backups that the customer may keep.
    pub backups: i32,
    /// Ports that the customer may make beyond `ports`.
    pub allocations: i32,
    /// Ports that the game listens on.
    pub ports: i32,
}

/// What the plan with its add-ons amounts to: sums, raised to the game's floors.
pub fn spec(plan: &Plan, addons: &[Addon], game: &Game) -> Spec {
    let sum = |base: i32, delta: fn(&Addon) -> i32| {
        addons
            .iter()
            .fold(base, |total, addon| total.saturating_add(delta(addon)))
    };
    let ram_gb = sum(plan.ram_gb, |addon| addon.ram_gb).max(game.min_ram_gb);
    let ssd_gb = sum(plan.ssd_gb, |addon| addon.ssd_gb).max(game.min_ssd_gb);
    Spec {
        game: game.id.clone(),
        ram_mb: i64::from(ram_gb) * MB_PER_GB,
        disk_mb: i64::from(ssd_gb) * MB_PER_GB,
        swap_mb: i64::from(game.swap_mb),
        cpu_percent: i64::from(sum(plan.vcores, |addon| addon.vcores)) * PERCENT_PER_CORE,
        databases: sum(plan.databases, |addon| addon.databases),
        backups: sum(plan.backups, |addon| addon.backups),
        allocations: sum(plan.allocations, |addon| addon.allocations),
        ports: game.ports,
    }
}

impl Spec {
    /// What is held of a node for it: rounded up to whole units, swap counted as disk.
    pub fn need(&self) -> Need {
        Need {
            ram_gb: units(self.ram_mb, MB_PER_GB),
            disk_gb: units(self.disk_mb.saturating_add(self.swap_mb), MB_PER_GB),
            vcores: units(self.cpu_percent, PERCENT_PER_CORE),
            ports: self.ports,
        }
    }
}

fn units(amount: i64, unit: i64) -> i32 {
    let whole = amount / unit + i64::from(amount % unit > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}
