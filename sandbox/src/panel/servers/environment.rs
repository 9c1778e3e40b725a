//! The values of an egg's variables: checked one by one against the egg's own rules.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::panel::errors::{Failure, Refusal};
use crate::panel::input::text;
use crate::panel::state::State;
use crate::panel::validate::{Form, parse_rules};

/// Checks what was sent for every variable of the egg, absent ones as null. No default is applied:
/// an optional variable left out is stored empty. Unknown names are dropped.
pub(crate) fn check(
    state: &State,
    egg: i64,
    sent: Option<&Value>,
) -> Result<BTreeMap<i64, String>, Failure> {
    let variables = state.variables_of(egg);
    let value_of = |name: &str| sent.and_then(|sent| sent.get(name)).unwrap_or(&Value::Null);
    let values: Map<String, Value> = variables
        .iter()
        .map(|variable| {
            (
                variable.env_variable.clone(),
                value_of(&variable.env_variable).clone(),
            )
        })
        .collect();
    let data = json!({ "environment": values });
    let mut form = Form::new(&data);
    for variable in variables {
        // A rule that the framework does not know ends the request in an error of its own.
        let rules = parse_rules(&variable.rules)
            .map_err(|_| Refusal::internal("BadMethodCallException"))?;
        let path = format!("environment.{}", variable.env_variable);
        form = form.labelled(&path, &format!("{} variable", variable.name), rules);
    }
    form.check()?;
    let stored = variables.iter().map(|variable| {
        (
            variable.id,
            text(Some(value_of(&variable.env_variable))).unwrap_or_default(),
        )
    });
    Ok(stored.collect())
}
