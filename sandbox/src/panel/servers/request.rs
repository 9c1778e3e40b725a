//! The rules of a server's fields, as the create and update requests share them.

use serde_json::Value;

use crate::panel::context::Context;
use crate::panel::errors::Refusal;
use crate::panel::input::{folded, integer};
use crate::panel::state::State;
use crate::panel::validate::{Form, Rule, pattern};

/// The external id, unique among all servers but the one that is changed.
pub(super) fn external_id(state: &State, existing: Option<i64>) -> Vec<Rule<'_>> {
    let taken = move |value: &Value| {
        let wanted = value.as_str().map(folded);
        let mut others = state
            .servers
            .values()
            .filter(|server| Some(server.id) != existing);
        wanted.is_some() && others.any(|row| row.external_id.as_deref().map(folded) == wanted)
    };
    vec![
        Rule::Sometimes,
        Rule::Nullable,
        Rule::String,
        Rule::Between(1.0, 191.0),
        Rule::Unique(Box::new(taken)),
    ]
}

pub(super) fn name() -> Vec<Rule<'static>> {
    vec![
        Rule::Required,
        Rule::String,
        Rule::Min(1.0),
        Rule::Max(191.0),
    ]
}

pub(super) fn owner(state: &State) -> Vec<Rule<'_>> {
    let known =
        |value: &Value| integer(Some(value)).is_some_and(|id| state.users.contains_key(&id));
    vec![Rule::Required, Rule::Integer, Rule::Exists(Box::new(known))]
}

pub(super) fn egg(state: &State) -> Vec<Rule<'_>> {
    let known = |value: &Value| integer(Some(value)).is_some_and(|id| state.eggs.contains_key(&id));
    vec![Rule::Required, Rule::Exists(Box::new(known))]
}

pub(super) fn image() -> Vec<Rule<'static>> {
    let form = pattern(r"^~?[\w./\-:@ ]*$");
    vec![Rule::Required, Rule::String, Rule::Max(191.0), form]
}

pub(super) fn startup() -> Vec<Rule<'static>> {
    vec![Rule::Required, Rule::String]
}

/// The rules of one limit without the one about its presence.
pub(super) fn limit(name: &str) -> Vec<Rule<'static>> {
    match name {
        "swap" => vec![Rule::Numeric, Rule::Min(-1.0)],
        "io" => vec![Rule::Numeric, Rule::Between(10.0, 1000.0)],
        "threads" => vec![Rule::Nullable, pattern("^[0-9,-]+$")],
        _ => vec![Rule::Numeric, Rule::Min(0.0)],
    }
}

pub(super) fn required_limit(name: &str) -> Vec<Rule<'static>> {
    let mut rules = limit(name);
    if name != "threads" {
        rules.insert(0, Rule::Required);
    }
    rules
}

pub(super) fn feature_limit(name: &str) -> Vec<Rule<'static>> {
    let presence = if name == "allocations" {
        Rule::Sometimes
    } else {
        Rule::Present
    };
    vec![presence, Rule::Nullable, Rule::Integer, Rule::Min(0.0)]
}

/// The whole body of a create, before anything of the egg is looked at.
pub(super) fn validate_create(state: &State, ctx: &Context) -> Result<(), Refusal> {
    let optional = || vec![Rule::Sometimes, Rule::Boolean];
    let deploys = deploys(ctx);
    let mut form: Form<'_> = ctx
        .form()
        .field("external_id", external_id(state, None))
        .field("name", name())
        .field("description", vec![Rule::Nullable, Rule::String])
        .field("user", owner(state))
        .field("egg", egg(state))
        .field("docker_image", image())
        .field("startup", startup())
        .field("environment", vec![Rule::Present, Rule::Array])
        .field("skip_scripts", optional())
        .field("oom_disabled", optional())
        .field("limits", vec![Rule::Required, Rule::Array]);
    for limit in ["memory", "swap", "disk", "io", "threads", "cpu"] {
        form = form.field(&format!("limits.{limit}"), required_limit(limit));
    }
    form = form.field("feature_limits", vec![Rule::Required, Rule::Array]);
    for limit in ["databases", "allocations", "backups"] {
        form = form.field(&format!("feature_limits.{limit}"), feature_limit(limit));
    }
    if !deploys {
        form = given_ports(form, state);
    }
    form = form.field("deploy", vec![Rule::Sometimes, Rule::Required, Rule::Array]);
    let mut list = vec![Rule::Array];
    let mut ports = vec![Rule::Array];
    if deploys {
        list.insert(0, Rule::Present);
        ports.insert(0, Rule::Present);
    }
    form.field("deploy.locations", list)
        .each("deploy.locations", || vec![Rule::Integer, Rule::Min(1.0)])
        .field("deploy.dedicated_ip", vec![Rule::RequiredWith("deploy")])
        .field("deploy.port_range", ports)
        .each("deploy.port_range", || vec![Rule::String])
        .field("start_on_completion", optional())
        .check()
}

/// Ports that the caller chose: each must exist and be free.
fn given_ports<'a>(form: Form<'a>, state: &'a State) -> Form<'a> {
    let free = move || {
        Rule::Exists(Box::new(move |value: &Value| {
            integer(Some(value)).is_some_and(|id| state.free(id))
        }))
    };
    form.field(
        "allocation.default",
        vec![Rule::Required, Rule::Integer, Rule::Bail, free()],
    )
    .each("allocation.additional", move || vec![Rule::Integer, free()])
}

/// Whether the choice of the port is left to the panel; an empty `deploy` does not count.
pub(super) fn deploys(ctx: &Context) -> bool {
    match ctx.field("deploy") {
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Null) | None => false,
        Some(_) => true,
    }
}
