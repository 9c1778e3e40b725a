//! Add-ons: what is billed with a plan and changes its server, or is done by people.

use serde::Serialize;

use super::{
    ItemType, Price, PricePath, Term, price,
    rules::{self, MAX_COUNT, MAX_RAM_GB, MAX_SSD_GB, MAX_VCORES, at},
};
use crate::domain::{Error, error::Violations, words::words};

/// Something added to a plan, billed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Addon {
    /// For example `additional-ssd`.
    pub id: String,
    /// Which kind of plan it goes with.
    pub item_type: ItemType,
    /// For people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// Memory added.
    pub ram_gb: i32,
    /// Whole cores added.
    pub vcores: i32,
    /// Disk added.
    pub ssd_gb: i32,
    /// Databases added.
    pub databases: i32,
    /// Backups added.
    pub backups: i32,
    /// Ports that the customer may make, added.
    pub allocations: i32,
    /// People deliver it; the order shows it until done.
    pub manual: bool,
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
    /// Fields of an add-on that an update may name.
    AddonField {
        /// Game or vps.
        ItemType = "item_type",
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
        /// Delivered by people.
        Manual = "manual",
        /// The monthly price's id.
        StripePriceId = "stripe_price_id",
        /// All prices.
        Prices = "prices",
        /// Whether it can be bought.
        IsActive = "is_active",
    }
}

impl Addon {
    /// Notes every rule that the add-on breaks, at paths below `prefix`. That it
    /// has an effect is a rule of its own: [`Addon::require_effect`].
    pub fn check(&self, violations: &mut Violations, prefix: &str, path: PricePath) {
        rules::id(violations, at(prefix, "id"), &self.id);
        rules::display_name(violations, at(prefix, "display_name"), &self.display_name);
        rules::description(violations, at(prefix, "description"), &self.description);
        for (field, value, max) in [
            ("ram_gb", self.ram_gb, MAX_RAM_GB),
            ("vcores", self.vcores, MAX_VCORES),
            ("ssd_gb", self.ssd_gb, MAX_SSD_GB),
            ("databases", self.databases, MAX_COUNT),
            ("backups", self.backups, MAX_COUNT),
            ("allocations", self.allocations, MAX_COUNT),
        ] {
            rules::within(violations, at(prefix, field), value, 0..=max);
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

    /// Whether it changes the server, or people deliver it.
    pub fn has_effect(&self) -> bool {
        let deltas = [
            self.ram_gb,
            self.vcores,
            self.ssd_gb,
            self.databases,
            self.backups,
            self.allocations,
        ];
        self.manual || deltas.iter().any(|delta| *delta > 0)
    }

    /// Refuses an add-on that would be charged for nothing.
    pub fn require_effect(&self) -> Result<(), Error> {
        if self.has_effect() {
            return Ok(());
        }
        Err(Error::precondition(
            "ADDON_WITHOUT_EFFECT",
            format!(
                "add-on {} changes nothing on the server and is not manual",
                self.id
            ),
            vec![("addon_id", self.id.clone())],
        ))
    }

    /// The price of a term, where it is offered.
    pub fn price(&self, term: Term) -> Option<&Price> {
        self.prices.iter().find(|price| price.term == term)
    }

    /// Takes the named fields from `from`. New prices bring their own monthly
    /// id, unless the caller names that one as well.
    pub fn take(&mut self, from: &Self, fields: &[AddonField]) {
        for field in fields {
            match field {
                AddonField::ItemType => self.item_type = from.item_type,
                AddonField::DisplayName => self.display_name.clone_from(&from.display_name),
                AddonField::Description => self.description.clone_from(&from.description),
                AddonField::RamGb => self.ram_gb = from.ram_gb,
                AddonField::Vcores => self.vcores = from.vcores,
                AddonField::SsdGb => self.ssd_gb = from.ssd_gb,
                AddonField::Databases => self.databases = from.databases,
                AddonField::Backups => self.backups = from.backups,
                AddonField::Allocations => self.allocations = from.allocations,
                AddonField::Manual => self.manual = from.manual,
                AddonField::StripePriceId => {
                    self.stripe_price_id.clone_from(&from.stripe_price_id);
                }
                AddonField::Prices => self.prices.clone_from(&from.prices),
                AddonField::IsActive => self.is_active = from.is_active,
            }
        }
        if fields.contains(&AddonField::Prices) && !fields.contains(&AddonField::StripePriceId) {
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

/// Which add-ons a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddonFilter {
    /// Of this type only.
    pub item_type: Option<ItemType>,
    /// Those that cannot be bought as well.
    pub include_inactive: bool,
}
