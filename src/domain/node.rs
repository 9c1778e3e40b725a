//! Nodes: machines of the panel that servers are placed on. Owns the rules for
//! what an operator may write of them; what is held of them is the ledger's.

use serde::Serialize;

use super::{
    catalog::rules::{self, MAX_VCORES, at},
    error::Violations,
    words::words,
};

/// Memory of one machine, in GiB.
const MAX_RAM_GB: i32 = 1_048_576;
/// Disk of one machine, in GiB.
const MAX_DISK_GB: i32 = 16_777_216;

/// A node as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Ours, not the panel's.
    pub id: i32,
    /// What the operator said of it.
    pub set: NewNode,
    /// Held by orders.
    pub held_ram_gb: i32,
    /// Held by orders.
    pub held_disk_gb: i32,
    /// Ports that no order has.
    pub free_allocations: i32,
    /// Creates failed there until this time.
    pub avoided_until_us: Option<i64>,
    /// When the panel last listed it.
    pub last_seen_us: Option<i64>,
}

/// What an operator says of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewNode {
    /// The panel's id.
    pub pterodactyl_node_id: i64,
    /// For people: `US-East-1`.
    pub name: String,
    /// Where it is: `us-east`.
    pub region: String,
    /// Its host name; empty where it is not told.
    pub fqdn: String,
    /// Memory.
    pub max_ram_gb: i32,
    /// Disk.
    pub max_disk_gb: i32,
    /// Whole cores, where they are counted.
    pub max_vcores: Option<i32>,
    /// Memory kept free for the machine itself.
    pub reserved_headroom_gb: i32,
    /// Whether it takes new servers.
    pub enabled: bool,
    /// Set while it is worked on.
    pub maintenance: bool,
    /// 100 is usual; heavier is preferred.
    pub weight: i32,
}

words! {
    /// Fields of a node that an update may name. The panel's id is none of
    /// them: servers and ports of the node are known by it.
    NodeField {
        /// For people.
        Name = "name",
        /// Where it is.
        Region = "region",
        /// Host name.
        Fqdn = "fqdn",
        /// Memory.
        MaxRamGb = "max_ram_gb",
        /// Disk.
        MaxDiskGb = "max_disk_gb",
        /// Cores.
        MaxVcores = "max_vcores",
        /// Memory kept free.
        ReservedHeadroomGb = "reserved_headroom_gb",
        /// Takes new servers.
        Enabled = "enabled",
        /// Worked on.
        Maintenance = "maintenance",
        /// Preference.
        Weight = "weight",
    }
}

/// A place where servers run: what its nodes have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// For example `us-east`.
    pub id: String,
    /// How many nodes it has.
    pub nodes: i32,
    /// Whether at least one of them takes new servers.
    pub enabled: bool,
}

/// Whether it can be the name of a region.
pub fn is_region(text: &str) -> bool {
    rules::is_slug(text, 32)
}

impl NewNode {
    /// Notes every rule that the node breaks, at paths below `prefix`.
    pub fn check(&self, violations: &mut Violations, prefix: &str) {
        violations.require(
            self.pterodactyl_node_id > 0,
            at(prefix, "pterodactyl_node_id"),
            "must be an id of the panel",
        );
        rules::display_name(violations, at(prefix, "name"), &self.name);
        violations.require(
            is_region(&self.region),
            at(prefix, "region"),
            "must be 1 to 32 lower-case letters, digits or dashes and start with a letter or digit",
        );
        violations.require(
            self.fqdn.is_empty() || is_host(&self.fqdn),
            at(prefix, "fqdn"),
            "must be a host name or an address",
        );
        for (field, value, range) in [
            ("max_ram_gb", self.max_ram_gb, 1..=MAX_RAM_GB),
            ("max_disk_gb", self.max_disk_gb, 1..=MAX_DISK_GB),
            (
                "max_vcores",
                self.max_vcores.unwrap_or(1),
                1..=MAX_VCORES * 8,
            ),
            (
                "reserved_headroom_gb",
                self.reserved_headroom_gb,
                0..=MAX_RAM_GB,
            ),
            ("weight", self.weight, 1..=1000),
        ] {
            rules::within(violations, at(prefix, field), value, range);
        }
        violations.require(
            self.max_ram_gb < 1 || self.reserved_headroom_gb < self.max_ram_gb,
            at(prefix, "reserved_headroom_gb"),
            "must be less than max_ram_gb",
        );
    }

    /// Takes the named fields from `from`.
    pub fn take(&mut self, from: &Self, fields: &[NodeField]) {
        for field in fields {
            match field {
                NodeField::Name => self.name.clone_from(&from.name),
                NodeField::Region => self.region.clone_from(&from.region),
                NodeField::Fqdn => self.fqdn.clone_from(&from.fqdn),
                NodeField::MaxRamGb => self.max_ram_gb = from.max_ram_gb,
                NodeField::MaxDiskGb => self.max_disk_gb = from.max_disk_gb,
                NodeField::MaxVcores => self.max_vcores = from.max_vcores,
                NodeField::ReservedHeadroomGb => {
                    self.reserved_headroom_gb = from.reserved_headroom_gb;
                }
                NodeField::Enabled => self.enabled = from.enabled,
                NodeField::Maintenance => self.maintenance = from.maintenance,
                NodeField::Weight => self.weight = from.weight,
            }
        }
    }
}

/// Host names, and IPv4 and IPv6 addresses: the panel takes each.
fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'[' | b']')
        })
}

#[cfg(test)]
mod tests;
