//! Plans: what a customer subscribes to.

use serde::Serialize;

use super::{
    ItemType, Price, PricePath, Term, price,
    rules::{self, MAX_COUNT, MAX_RAM_GB, MAX_SSD_GB, MAX_VCORES, at},
};
use crate::domain::{
    dispute::DisputePolicy,
    error::Violations,
    lenience::{MAX_GRACE_DAYS, MAX_RETENTION_DAYS},
    words::words,
};

/// What a customer subscribes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// For example `mc-2gb`.
    pub id: String,
    /// What kind of thing it sells.
    pub item_type: ItemType,
    /// The games row that tells which egg to install.
    pub game: Option<String>,
    /// For people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// Memory.
    pub ram_gb: i32,
    /// Whole cores.
    pub vcores: i32,
    /// Disk.
    pub ssd_gb: i32,
    /// Databases that the customer may make.
    pub databases: i32,
    /// Backups that the customer may keep.
    pub backups: i32,
    /// Ports that the customer may make beyond the game's own.
    pub allocations: i32,
    /// How many days a server runs on after its subscription was first seen past due; none: as
    /// the shop says. Only the catalog file says this and the two below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_days: Option<i32>,
    /// How many days a suspended server is kept; none: as the shop says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<i32>,
    /// What is done about payments that a bank disputes; none: as the shop says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disputes: Option<DisputePolicy>,
    /// The monthly price's id, where there is one.
    pub stripe_price_id: Option<String>,
    /// One per term, in the order of terms.
    pub prices: Vec<Price>,
    /// Whether it can be bought.
    pub is_active: bool,
    /// Changes with every write.
    pub etag: String,
    /// First stored.
    pub created_us: i64,
    /// Last changed.
    pub updated_us: i64,
}

words! {
    /// Fields of a plan that an update may name.
    PlanField {
        /// Game or vps.
        ItemType = "item_type",
        /// The games row.
        Game = "game",
        /// For people.
        DisplayName = "display_name",
        /// For people.
        Description = "description",
        /// Memory.
        RamGb = "ram_gb",
        /// Cores.
        Vcores = "vcores",
        /// Disk.
        SsdGb = "ssd_gb",
        /// Databases.
        Databases = "databases",
        /// Backups.
        Backups = "backups",
        /// Further ports.
        Allocations = "allocations",
        /// The monthly price's id.
        StripePriceId = "stripe_price_id",
        /// All prices.
        Prices = "prices",
        /// Whether it can be bought.
        IsActive = "is_active",
    }
}

impl Plan {
    /// Notes every rule that the plan breaks, at paths below `prefix`.
    pub fn check(&self, violations: &mut Violations, prefix: &str, path: PricePath) {
        rules::id(violations, at(prefix, "id"), &self.id);
        match (&self.game, self.item_type) {
            (Some(game), _) => rules::id(violations, at(prefix, "game"), game),
            (None, ItemType::Game) => {
                violations.add(at(prefix, "game"), "is required for a plan of a game");
            }
            (None, ItemType::Vps) => {}
        }
        rules::display_name(violations, at(prefix, "display_name"), &self.display_name);
        rules::description(violations, at(prefix, "description"), &self.description);
        for (field, value, range) in [
            ("ram_gb", self.ram_gb, 1..=MAX_RAM_GB),
            ("vcores", self.vcores, 1..=MAX_VCORES),
            ("ssd_gb", self.ssd_gb, 1..=MAX_SSD_GB),
            ("databases", self.databases, 0..=MAX_COUNT),
            ("backups", self.backups, 0..=MAX_COUNT),
            ("allocations", self.allocations, 0..=MAX_COUNT),
        ] {
            rules::within(violations, at(prefix, field), value, range);
        }
        for (field, days, most) in [
            ("grace_days", self.grace_days, MAX_GRACE_DAYS),
            ("retention_days", self.retention_days, MAX_RETENTION_DAYS),
        ] {
            if let Some(days) = days {
                rules::within(violations, at(prefix, field), days, 0..=i32::from(most));
            }
        }
        let monthly = self.stripe_price_id.as_deref();
        price::check(
            violations,
            prefix,
            path,
            &self.prices,
            monthly,
            self.is_active,
        );
    }

    /// The price of a term, where it is offered.
    pub fn price(&self, term: Term) -> Option<&Price> {
        self.prices.iter().find(|price| price.term == term)
    }

    /// Takes the named fields from `from`. New prices bring their own monthly
    /// id, unless the caller names that one as well.
    pub fn take(&mut self, from: &Self, fields: &[PlanField]) {
        for field in fields {
            match field {
                PlanField::ItemType => self.item_type = from.item_type,
                PlanField::Game => self.game.clone_from(&from.game),
                PlanField::DisplayName => self.display_name.clone_from(&from.display_name),
                PlanField::Description => self.description.clone_from(&from.description),
                PlanField::RamGb => self.ram_gb = from.ram_gb,
                PlanField::Vcores => self.vcores = from.vcores,
                PlanField::SsdGb => self.ssd_gb = from.ssd_gb,
                PlanField::Databases => self.databases = from.databases,
                PlanField::Backups => self.backups = from.backups,
                PlanField::Allocations => self.allocations = from.allocations,
                PlanField::StripePriceId => {
                    self.stripe_price_id.clone_from(&from.stripe_price_id);
                }
                PlanField::Prices => self.prices.clone_from(&from.prices),
                PlanField::IsActive => self.is_active = from.is_active,
            }
        }
        if fields.contains(&PlanField::Prices) && !fields.contains(&PlanField::StripePriceId) {
            self.stripe_price_id = price::monthly(&self.prices).map(str::to_owned);
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

/// Which plans a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanFilter {
    /// Of this type only.
    pub item_type: Option<ItemType>,
    /// Of this game only.
    pub game: Option<String>,
    /// Those that cannot be bought as well.
    pub include_inactive: bool,
}
