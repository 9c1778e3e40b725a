//! Games: how a plan is installed on the panel.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rules::{self, MAX_RAM_GB, MAX_SSD_GB, VARIABLE_PROBLEM, at};
use crate::domain::{error::Violations, words::words};

/// A game listens on at most this many ports.
const MAX_PORTS: i32 = 16;
/// Swap of one server; more would only hide that a plan is too small.
const MAX_SWAP_MB: i32 = 65_536;
/// Variables of one list or map; no egg has nearly as many.
const MAX_VARIABLES: usize = 100;

/// How a game is installed on the panel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Game {
    /// For example `minecraft`.
    pub id: String,
    /// For people.
    pub display_name: String,
    /// The panel's nest.
    pub ptero_nest_id: i64,
    /// The panel's egg.
    pub ptero_egg_id: i64,
    /// Ports that the game listens on, the default one included.
    pub ports: i32,
    /// Egg variables that get the numbers of the further ports, in order. A
    /// further port without a variable is assigned all the same.
    pub port_variables: Vec<String>,
    /// Values that replace the egg's defaults.
    pub environment: BTreeMap<String, String>,
    /// Egg variables that get a random secret per server.
    pub secret_variables: Vec<String>,
    /// A smaller plan is raised to this.
    pub min_ram_gb: i32,
    /// A smaller plan is raised to this.
    pub min_ssd_gb: i32,
    /// Swap; held as disk, so that it cannot oversell a node.
    pub swap_mb: i32,
    /// Whether the kernel spares the server when it overruns its memory.
    pub oom_disabled: bool,
    /// Whether servers of it are made.
    pub is_active: bool,
    /// Changes with every write.
    pub etag: String,
    /// First stored.
    pub created_us: i64,
    /// Last changed.
    pub updated_us: i64,
}

words! {
    /// Fields of a game that an update may name.
    GameField {
        /// For people.
        DisplayName = "display_name",
        /// The panel's nest.
        PteroNestId = "ptero_nest_id",
        /// The panel's egg.
        PteroEggId = "ptero_egg_id",
        /// How many ports.
        Ports = "ports",
        /// Variables of the further ports.
        PortVariables = "port_variables",
        /// Defaults.
        Environment = "environment",
        /// Variables that get a secret.
        SecretVariables = "secret_variables",
        /// Floor of the memory.
        MinRamGb = "min_ram_gb",
        /// Floor of the disk.
        MinSsdGb = "min_ssd_gb",
        /// Swap.
        SwapMb = "swap_mb",
        /// Spared by the kernel.
        OomDisabled = "oom_disabled",
        /// Whether servers of it are made.
        IsActive = "is_active",
    }
}

impl Game {
    /// Notes every rule that the game breaks, at paths below `prefix`.
    pub fn check(&self, violations: &mut Violations, prefix: &str) {
        rules::id(violations, at(prefix, "id"), &self.id);
        rules::display_name(violations, at(prefix, "display_name"), &self.display_name);
        for (field, id) in [
            ("ptero_nest_id", self.ptero_nest_id),
            ("ptero_egg_id", self.ptero_egg_id),
        ] {
            violations.require(id > 0, at(prefix, field), "must be an id of the panel");
        }
        for (field, value, range) in [
            ("ports", self.ports, 1..=MAX_PORTS),
            ("min_ram_gb", self.min_ram_gb, 0..=MAX_RAM_GB),
            ("min_ssd_gb", self.min_ssd_gb, 0..=MAX_SSD_GB),
            ("swap_mb", self.swap_mb, 0..=MAX_SWAP_MB),
        ] {
            rules::within(violations, at(prefix, field), value, range);
        }
        self.check_variables(violations, prefix);
    }

    fn check_variables(&self, violations: &mut Violations, prefix: &str) {
        let further = usize::try_from(self.ports.saturating_sub(1)).unwrap_or_default();
        violations.require(
            self.port_variables.len() <= further,
            at(prefix, "port_variables"),
            format!("names more than the {further} ports beyond the default one"),
        );
        for (field, names) in [
            ("port_variables", &self.port_variables),
            ("secret_variables", &self.secret_variables),
        ] {
            if names.len() > MAX_VARIABLES {
                violations.add(
                    at(prefix, field),
                    format!("must be at most {MAX_VARIABLES}"),
                );
                continue;
            }
            for (index, name) in names.iter().enumerate() {
                let field = format!("{prefix}.{field}[{index}]");
                if !rules::is_variable(name) {
                    violations.add(field, VARIABLE_PROBLEM);
                } else if names[..index].contains(name) {
                    violations.add(field, format!("{name} is named twice"));
                }
            }
        }
        for (index, name) in self.secret_variables.iter().take(MAX_VARIABLES).enumerate() {
            violations.require(
                !self.port_variables.contains(name),
                format!("{prefix}.secret_variables[{index}]"),
                format!("{name} gets the number of a port"),
            );
        }
        self.check_environment(violations, &at(prefix, "environment"));
    }

    fn check_environment(&self, violations: &mut Violations, prefix: &str) {
        if self.environment.len() > MAX_VARIABLES {
            violations.add(prefix, format!("must be at most {MAX_VARIABLES}"));
            return;
        }
        for (name, value) in &self.environment {
            // A name that breaks the rule is not echoed into the path.
            if !rules::is_variable(name) {
                violations.add(prefix, format!("has a name that {VARIABLE_PROBLEM}"));
                continue;
            }
            violations.require(
                value.chars().count() <= 4096 && !rules::has_control(value),
                at(prefix, name),
                "must be at most 4096 characters without control characters",
            );
            let given = self.port_variables.contains(name) || self.secret_variables.contains(name);
            violations.require(
                !given,
                at(prefix, name),
                "is given a port or a secret, so it has no default",
            );
        }
    }

    /// Takes the named fields from `from`.
    pub fn take(&mut self, from: &Self, fields: &[GameField]) {
        for field in fields {
            match field {
                GameField::DisplayName => self.display_name.clone_from(&from.display_name),
                GameField::PteroNestId => self.ptero_nest_id = from.ptero_nest_id,
                GameField::PteroEggId => self.ptero_egg_id = from.ptero_egg_id,
                GameField::Ports => self.ports = from.ports,
                GameField::PortVariables => self.port_variables.clone_from(&from.port_variables),
                GameField::Environment => self.environment.clone_from(&from.environment),
                GameField::SecretVariables => {
                    self.secret_variables.clone_from(&from.secret_variables);
                }
                GameField::MinRamGb => self.min_ram_gb = from.min_ram_gb,
                GameField::MinSsdGb => self.min_ssd_gb = from.min_ssd_gb,
                GameField::SwapMb => self.swap_mb = from.swap_mb,
                GameField::OomDisabled => self.oom_disabled = from.oom_disabled,
                GameField::IsActive => self.is_active = from.is_active,
            }
        }
    }

    /// Whether both say the same, apart from when and by which write.
    pub fn same_as(&self, other: &Self) -> bool {
        let mut other = other.clone();
        other.etag.clone_from(&self.etag);
        (other.created_us, other.updated_us) = (self.created_us, self.updated_us);
        *self == other
    }
}
