//! Eggs: which variables a create must send, and which values they take.
//!
//! The panel is the judge of its rules; what is checked here are the rules whose
//! meaning is plain, so that a cart which the panel would refuse is refused
//! before any money.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{catalog::Game, error::Violations};

/// An egg as cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egg {
    /// The panel's id.
    pub egg_id: i64,
    /// Its nest.
    pub nest_id: i64,
    /// Whether the panel has it.
    pub found: bool,
    /// Image.
    pub docker_image: String,
    /// Start command.
    pub startup: String,
    /// Every variable.
    pub variables: Vec<Variable>,
    /// When it was read.
    pub read_us: i64,
}

/// One variable of an egg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Name in the environment.
    pub name: String,
    /// The egg's default; the panel never applies it on a create.
    pub default: String,
    /// Whether a customer may change it.
    pub editable: bool,
    /// Laravel rules, separated by `|`.
    pub rules: String,
}

/// Secrets are this long: 128 bits in letters and digits that every game reads.
pub const SECRET_LENGTH: usize = 24;

/// The whole environment of a server: every variable of the egg, from its default,
/// the game's own value, the ports, a random secret, and the customer's choice, each
/// over the one before. A customer never chooses a port variable, nor one that the
/// egg does not let users edit.
pub fn environment(
    egg: &Egg,
    game: &Game,
    chosen: &BTreeMap<String, String>,
    further_ports: &[i32],
    mut secret: impl FnMut() -> String,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for variable in &egg.variables {
        let port = game
            .port_variables
            .iter()
            .position(|name| *name == variable.name);
        let value = if let Some(place) = port {
            further_ports
                .get(place)
                .map_or_else(|| variable.default.clone(), i32::to_string)
        } else if let Some(value) = chosen.get(&variable.name).filter(|_| variable.editable) {
            value.clone()
        } else if game.secret_variables.contains(&variable.name) {
            secret()
        } else {
            game.environment
                .get(&variable.name)
                .unwrap_or(&variable.default)
                .clone()
        };
        values.insert(variable.name.clone(), value);
    }
    values
}

/// Checks a customer's choice of variables.
pub fn check_chosen(
    egg: &Egg,
    game: &Game,
    chosen: &BTreeMap<String, String>,
    violations: &mut Violations,
) {
    for (name, value) in chosen {
        let field = format!("environment.{name}");
        let variable = egg.variables.iter().find(|variable| variable.name == *name);
        match variable {
            None => violations.add(field, "is not a variable of this game"),
            Some(variable) if !variable.editable || game.port_variables.contains(name) => {
                violations.add(field, "cannot be chosen by customers");
            }
            Some(variable) => {
                if let Some(problem) = broken_rule(&variable.rules, value) {
                    violations.add(field, problem);
                }
            }
        }
    }
}

/// The variables whose final value breaks a plain rule: a game so configured can
/// never be delivered.
pub fn broken_variables(egg: &Egg, values: &BTreeMap<String, String>) -> Vec<String> {
    let broken = |variable: &&Variable| {
        let value = values.get(&variable.name).map_or("", String::as_str);
        broken_rule(&variable.rules, value).is_some()
    };
    egg.variables
        .iter()
        .filter(broken)
        .map(|variable| variable.name.clone())
        .collect()
}

/// What a value breaks of a rule list, as far as the rules are plain.
fn broken_rule(rules: &str, value: &str) -> Option<String> {
    // A regular expression may hold the separator: what follows one is the panel's to judge.
    let plain = rules.split("regex:").next().unwrap_or_default();
    let rules: Vec<&str> = plain.split('|').filter(|rule| !rule.is_empty()).collect();
    if value.trim().is_empty() {
        return rules
            .contains(&"required")
            .then(|| "is required".to_owned());
    }
    let numeric = rules
        .iter()
        .any(|rule| matches!(*rule, "integer" | "numeric" | "int"));
    rules.iter().find_map(|rule| {
        let (name, argument) = rule.split_once(':').unwrap_or((rule, ""));
        breaks(name, argument, value, numeric)
    })
}

fn breaks(name: &str, argument: &str, value: &str, numeric: bool) -> Option<String> {
    let size = || -> Option<f64> {
        if numeric {
            value.parse().ok().filter(|number: &f64| number.is_finite())
        } else {
            u32::try_from(value.chars().count()).ok().map(f64::from)
        }
    };
    let bounds: Vec<f64> = argument
        .split(',')
        .filter_map(|text| text.trim().parse().ok())
        .collect();
    let unit = if numeric { "" } else { " characters" };
    match (name, bounds.as_slice()) {
        ("integer" | "int", _) if value.parse::<i64>().is_err() => {
            Some("must be a whole number".to_owned())
        }
        ("numeric", _) if !value.parse().is_ok_and(f64::is_finite) => {
            Some("must be a number".to_owned())
        }
        ("boolean" | "bool", _) if !matches!(value, "0" | "1" | "true" | "false") => {
            Some("must be 0 or 1".to_owned())
        }
        ("in", _)
            if !argument
                .split(',')
                .any(|word| word.trim_matches('"') == value) =>
        {
            Some(format!("must be one of {argument}"))
        }
        ("min", [min]) if size()? < *min => Some(format!("must be at least {min}{unit}")),
        ("max", [max]) if size()? > *max => Some(format!("must be at most {max}{unit}")),
        ("between", [min, max]) if !(*min..=*max).contains(&size()?) => {
            Some(format!("must be between {min} and {max}{unit}"))
        }
        ("alpha_num", _) if !value.chars().all(char::is_alphanumeric) => {
            Some("must be letters and digits".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::broken_rule;

    #[test]
    fn plain_rules_are_judged_and_others_left_to_the_panel() {
        let cases = [
            ("required|string|max:20", "", true),
            ("required|string|max:20", "abc", false),
            ("required|string|max:2", "abc", true),
            ("nullable|string", "", false),
            ("required|integer|between:1,64", "65", true),
            ("required|integer|between:1,64", "64", false),
            ("required|integer", "many", true),
            ("required|numeric|min:1", "0.5", true),
            ("required|boolean", "yes", true),
            ("required|boolean", "1", false),
            ("required|in:vanilla,oxide", "carbon", true),
            ("required|in:vanilla,oxide", "oxide", false),
            ("required|regex:/^(a|b)$/|max:1", "abc", false),
            ("required|some_new_rule:7", "abc", false),
        ];
        for (rules, value, broken) in cases {
            assert_eq!(
                broken_rule(rules, value).is_some(),
                broken,
                "{rules} {value:?}"
            );
        }
    }
}
