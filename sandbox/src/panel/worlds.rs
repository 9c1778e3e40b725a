//! Two ready-made worlds: the shop's and the one of the recordings. Data only.

mod recorded_eggs;
mod shop_eggs;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};

use super::auth::KeySpec;
use super::clock::PanelClock;
use super::config::{
    EggSpec, LocationSpec, NestSpec, NodeSpec, PanelConfig, UserSpec, VariableSpec,
};

/// Name, environment name, default, rules.
type VariableRow = (&'static str, &'static str, &'static str, &'static str);

/// One egg as the tables below write it.
struct EggRow {
    id: i64,
    nest: i64,
    name: &'static str,
    image: &'static str,
    startup: &'static str,
    done: &'static str,
    stop: &'static str,
    variables: &'static [VariableRow],
}

impl EggRow {
    fn spec(&self) -> EggSpec {
        let variables = self
            .variables
            .iter()
            .map(|(name, env_variable, default_value, rules)| VariableSpec {
                name: (*name).to_owned(),
                env_variable: (*env_variable).to_owned(),
                default_value: (*default_value).to_owned(),
                rules: (*rules).to_owned(),
                editable: *env_variable != "DL_PATH",
            })
            .collect();
        EggSpec {
            id: self.id,
            nest: self.nest,
            name: self.name.to_owned(),
            docker_image: self.image.to_owned(),
            startup: self.startup.to_owned(),
            done: self.done.to_owned(),
            stop: self.stop.to_owned(),
            variables,
        }
    }
}

fn nest(id: i64, name: &str, description: &str) -> NestSpec {
    NestSpec {
        id,
        name: name.to_owned(),
        description: description.to_owned(),
    }
}

fn location(short: &str, long: &str) -> LocationSpec {
    LocationSpec {
        short: short.to_owned(),
        long: long.to_owned(),
    }
}

fn user(username: &str, names: (&str, &str), root_admin: bool) -> UserSpec {
    UserSpec {
        email: format!("{username}@example.com"),
        username: username.to_owned(),
        first_name: names.0.to_owned(),
        last_name: names.1.to_owned(),
        external_id: None,
        root_admin,
    }
}

/// A fresh token of the panel's form: 48 characters that begin with `ptla_`.
fn random_token() -> String {
    format!("ptla_{}", Alphanumeric.sample_string(&mut rand::rng(), 43))
}

fn base(seed: u64) -> PanelConfig {
    PanelConfig {
        keys: vec![KeySpec::application(random_token(), 1)],
        users: Vec::new(),
        locations: Vec::new(),
        nodes: Vec::new(),
        nests: Vec::new(),
        eggs: Vec::new(),
        rate_limit: 240,
        install_delay: Some(Duration::from_secs(1)),
        daemon_timeout: Duration::from_secs(15),
        daemon_connect_timeout: Duration::from_secs(5),
        race_window: Duration::from_millis(4),
        seed,
        clock: PanelClock::system(),
    }
}

pub(crate) fn shop() -> PanelConfig {
    let node = |name: &str, at: i64, host: &str, last: u8| NodeSpec {
        name: name.to_owned(),
        description: format!("Game servers in {name}"),
        location: at,
        fqdn: format!("{host}.example.net"),
        memory: 65_536,
        disk: 1_024_000,
        ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, last)),
        alias: Some(format!("{host}.example.net")),
        ports: 25_565..=25_764,
    };
    PanelConfig {
        users: vec![user("admin", ("Panel", "Admin"), true)],
        locations: vec![
            location("us-east", "US East"),
            location("us-west", "US West"),
        ],
        nodes: vec![
            node("US-East-1", 1, "us-east-1", 10),
            node("US-West-1", 2, "us-west-1", 11),
        ],
        nests: vec![
            nest(16, "Minecraft", "Minecraft servers"),
            nest(19, "Rust", "Rust servers"),
            nest(20, "Games", "All other games"),
        ],
        eggs: shop_eggs::EGGS.iter().map(EggRow::spec).collect(),
        ..base(rand::random())
    }
}

pub(crate) fn recorded() -> PanelConfig {
    let node = |id: i64, ports| NodeSpec {
        name: format!("node{id}"),
        description: format!("loopback {id}"),
        location: id,
        fqdn: "127.0.0.1".to_owned(),
        memory: 65_536,
        disk: 500_000,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        alias: None,
        ports,
    };
    PanelConfig {
        users: vec![
            user("admin", ("Ad", "Min"), true),
            user("plain", ("P", "L"), false),
        ],
        locations: vec![
            location("fra", "Frankfurt loopback"),
            location("nyc", "New York loopback"),
        ],
        nodes: vec![node(1, 25_565..=25_634), node(2, 26_000..=26_004)],
        nests: vec![
            nest(1, "Minecraft", "Minecraft servers of every kind"),
            nest(2, "Source Engine", "Games on the Source engine"),
            nest(3, "Voice Servers", "Voice chat"),
            nest(4, "Rust", "Rust servers"),
        ],
        eggs: recorded_eggs::EGGS.iter().map(EggRow::spec).collect(),
        install_delay: None,
        ..base(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::validate::parse_rules;

    #[test]
    fn every_rule_of_every_egg_is_known_and_defaults_pass_or_are_empty() {
        for egg in shop().eggs.iter().chain(&recorded().eggs) {
            for variable in &egg.variables {
                let rules = parse_rules(&variable.rules);
                assert!(rules.is_ok(), "{} {}", egg.name, variable.env_variable);
                let data = serde_json::json!({ "v": variable.default_value });
                let form = crate::panel::validate::Form::new(&data).field("v", rules.unwrap());
                let passes = form.check().is_ok();
                assert!(
                    passes,
                    "{} {} has a bad default",
                    egg.name, variable.env_variable
                );
            }
        }
    }

    #[test]
    fn the_shop_has_its_eleven_games() {
        let mut ids: Vec<i64> = shop().eggs.iter().map(|egg| egg.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [14, 15, 16, 21, 26, 29, 32, 33, 34, 39, 50]);
    }
}
