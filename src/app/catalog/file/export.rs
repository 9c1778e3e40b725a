//! From the shop to the text of a file. Defaults are left out, so that a file
//! shows what its owner chose.

use std::fmt::{Display, Write};

use toml::Value;

use super::Catalog;
use crate::domain::catalog::{ItemType, Price};

const HEAD: &str = "\
# The catalog of a Spawnpoint shop, in the form that `spawnpoint catalog apply` reads.
# Amounts are minor units (699 is 6.99), sizes are GiB.
";

/// The whole catalog as text.
pub(super) fn text(catalog: &Catalog) -> String {
    let currency = common_currency(catalog);
    let mut out = Text(HEAD.to_owned());
    if let Some(currency) = &currency {
        out.text("currency", currency);
    }
    for game in &catalog.games {
        out.head("games", &game.id);
        out.text("display_name", &game.display_name);
        out.value("ptero_nest_id", game.ptero_nest_id);
        out.value("ptero_egg_id", game.ptero_egg_id);
        out.unless("ports", game.ports, 1);
        out.texts("port_variables", &game.port_variables);
        for (name, value) in &game.environment {
            out.text(&format!("environment.{name}"), value);
        }
        out.texts("secret_variables", &game.secret_variables);
        out.unless("min_ram_gb", game.min_ram_gb, 0);
        out.unless("min_ssd_gb", game.min_ssd_gb, 0);
        out.unless("swap_mb", game.swap_mb, 0);
        out.unless("oom_disabled", game.oom_disabled, false);
        out.unless("is_active", game.is_active, true);
    }
    for plan in &catalog.plans {
        out.head("plans", &plan.id);
        out.item_type(plan.item_type);
        if let Some(game) = &plan.game {
            out.text("game", game);
        }
        out.text("display_name", &plan.display_name);
        out.text_unless_empty("description", &plan.description);
        out.value("ram_gb", plan.ram_gb);
        out.value("vcores", plan.vcores);
        out.value("ssd_gb", plan.ssd_gb);
        out.unless("databases", plan.databases, 0);
        out.unless("backups", plan.backups, 0);
        out.unless("allocations", plan.allocations, 0);
        out.own("grace_days", plan.grace_days);
        out.own("retention_days", plan.retention_days);
        let disputes = plan.disputes.map(|policy| Value::from(policy.as_str()));
        out.own("disputes", disputes);
        out.unless("is_active", plan.is_active, true);
        out.prices(&plan.prices, currency.as_deref());
    }
    for addon in &catalog.addons {
        out.head("addons", &addon.id);
        out.item_type(addon.item_type);
        out.text("display_name", &addon.display_name);
        out.text_unless_empty("description", &addon.description);
        out.unless("ram_gb", addon.ram_gb, 0);
        out.unless("vcores", addon.vcores, 0);
        out.unless("ssd_gb", addon.ssd_gb, 0);
        out.unless("databases", addon.databases, 0);
        out.unless("backups", addon.backups, 0);
        out.unless("allocations", addon.allocations, 0);
        out.unless("manual", addon.manual, false);
        out.unless("is_active", addon.is_active, true);
        out.prices(&addon.prices, currency.as_deref());
    }
    for node in &catalog.nodes {
        out.head("nodes", &node.pterodactyl_node_id.to_string());
        out.text("name", &node.name);
        out.text("region", &node.region);
        out.text_unless_empty("fqdn", &node.fqdn);
        out.value("max_ram_gb", node.max_ram_gb);
        out.value("max_disk_gb", node.max_disk_gb);
        out.own("max_vcores", node.max_vcores);
        out.unless("reserved_headroom_gb", node.reserved_headroom_gb, 0);
        out.unless("enabled", node.enabled, true);
        out.unless("maintenance", node.maintenance, false);
        out.unless("weight", node.weight, 100);
    }
    out.0
}

/// The currency of all prices, where there is only one.
fn common_currency(catalog: &Catalog) -> Option<String> {
    let mut currencies = catalog.priced().map(|(_, price)| &price.amount.currency);
    let first = currencies.next()?;
    currencies
        .all(|other| other == first)
        .then(|| first.clone())
}

/// Lines of TOML. Keys are ids and egg variables, which need no quotes.
struct Text(String);

impl Text {
    fn head(&mut self, kind: &str, id: &str) {
        // Writing to a string cannot fail, here and below.
        let _ = write!(self.0, "\n[{kind}.{id}]\n");
    }

    fn value(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name} = {value}");
    }

    fn unless<T: Display + PartialEq>(&mut self, name: &str, value: T, default: T) {
        if value != default {
            self.value(name, value);
        }
    }

    fn own(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        self.value(name, Value::from(text));
    }

    fn text_unless_empty(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.value(name, Value::from(texts.to_vec()));
        }
    }

    fn item_type(&mut self, item_type: ItemType) {
        if item_type != ItemType::Game {
            self.text("item_type", item_type.as_str());
        }
    }

    fn prices(&mut self, prices: &[Price], common: Option<&str>) {
        if let Some(first) = prices.first()
            && common.is_none()
        {
            self.text("currency", &first.amount.currency);
        }
        for price in prices {
            let id = Value::from(price.stripe_price_id.as_str());
            let amount = price.amount.amount_minor;
            let entry = format!("{{ stripe_price_id = {id}, amount = {amount} }}");
            self.value(&format!("prices.{}", price.term), entry);
        }
    }
}
