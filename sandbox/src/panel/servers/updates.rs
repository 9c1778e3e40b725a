//! The three updates of a server: details, build and startup. Each acts like a full replacement of
//! its part; a failing daemon never shows.

use serde_json::Value;

use super::{environment, request, show};
use crate::faults::Moment;
use crate::panel::context::{Context, Handled, missing};
use crate::panel::daemon;
use crate::panel::errors::{Failure, Refusal};
use crate::panel::input::{boolean, integer, text};
use crate::panel::rows::{Limits, Server};
use crate::panel::state::{Shared, State};
use crate::panel::validate::{Form, Rule};

const LIMITS: [&str; 6] = ["memory", "swap", "io", "cpu", "threads", "disk"];

/// Name, owner, external id, description: the optional ones are cleared when left out.
pub(crate) async fn details(shared: &Shared, ctx: &Context) -> Handled {
    let id = ctx.id();
    {
        let state = shared.lock();
        ctx.form()
            .field("external_id", request::external_id(&state, Some(id)))
            .field("name", request::name())
            .labelled("user", "User ID", request::owner(&state))
            .field("description", vec![Rule::Nullable, Rule::String])
            .check()?;
    }
    ctx.reach(shared, Moment::BeforeCommit).await?;
    let revoke = {
        let mut state = shared.lock();
        let server = state.servers.get_mut(&id).ok_or_else(missing)?;
        let owner = integer(ctx.field("user")).unwrap_or_default();
        let revoke = (owner != server.owner_id).then(|| {
            (
                server.node_id,
                format!("/api/servers/{}/ws/deny", server.uuid),
            )
        });
        server.name = text(ctx.field("name")).unwrap_or_default();
        server.external_id = text(ctx.field("external_id"));
        server.description = text(ctx.field("description")).unwrap_or_default();
        server.owner_id = owner;
        server.updated_at = ctx.now;
        revoke
    };
    ctx.reach(shared, Moment::AfterCommit).await?;
    if let Some((node, path)) = revoke {
        // Best effort: the old owner's open consoles. It only costs time.
        drop(daemon::call(shared, node, "POST", &path).await);
    }
    show(&shared.lock(), ctx, id)
}

/// Limits and ports. The daemon is told afterwards, and its silence is swallowed.
pub(crate) async fn build(shared: &Shared, ctx: &Context) -> Handled {
    let id = ctx.id();
    validate_build(&shared.lock(), ctx)?;
    ctx.reach(shared, Moment::BeforeCommit).await?;
    let (node, path) = {
        let mut state = shared.lock();
        let default = move_ports(&mut state, ctx)?;
        let server = state.servers.get_mut(&id).ok_or_else(missing)?;
        server.allocation_id = default;
        apply_limits(server, ctx);
        server.updated_at = ctx.now;
        (server.node_id, format!("/api/servers/{}/sync", server.uuid))
    };
    ctx.reach(shared, Moment::AfterCommit).await?;
    drop(daemon::call(shared, node, "POST", &path).await);
    show(&shared.lock(), ctx, id)
}

fn validate_build(state: &State, ctx: &Context) -> Result<(), Refusal> {
    let id = ctx.id();
    let others = move |value: &Value| {
        let wanted = integer(Some(value));
        let mut others = state.servers.values().filter(|server| server.id != id);
        wanted.is_some() && others.any(|server| Some(server.allocation_id) == wanted)
    };
    let known =
        |value: &Value| integer(Some(value)).is_some_and(|id| state.allocations.contains_key(&id));
    let default = vec![
        Rule::Required,
        Rule::Bail,
        Rule::Unique(Box::new(others)),
        Rule::Exists(Box::new(known)),
    ];
    let mut form: Form<'_> = ctx
        .form()
        .field("allocation", default)
        .field("oom_disabled", vec![Rule::Sometimes, Rule::Boolean])
        .field("limits", vec![Rule::Sometimes, Rule::Array]);
    for (prefix, presence) in [
        (
            "limits.",
            Rule::RequiredWith as fn(&'static str) -> Rule<'static>,
        ),
        ("", Rule::RequiredWithout),
    ] {
        for name in LIMITS {
            let mut rules = request::limit(name);
            if name != "threads" {
                rules.insert(0, presence("limits"));
            }
            form = form.field(&format!("{prefix}{name}"), rules);
        }
    }
    let ids = || vec![Rule::Bail, Rule::Array];
    form.field("feature_limits", vec![Rule::Required, Rule::Array])
        .labelled(
            "feature_limits.databases",
            "Database Limit",
            request::feature_limit("databases"),
        )
        .labelled(
            "feature_limits.allocations",
            "Allocation Limit",
            request::feature_limit("allocations"),
        )
        .labelled(
            "feature_limits.backups",
            "Backup Limit",
            request::feature_limit("backups"),
        )
        .field("add_allocations", ids())
        .each("add_allocations", || vec![Rule::Integer])
        .field("remove_allocations", ids())
        .each("remove_allocations", || vec![Rule::Integer])
        .check()
}

/// Adds and removes ports; the answer is the default one. Ports that are taken or elsewhere are
/// skipped without a word. Nothing moves if the whole is refused.
fn move_ports(state: &mut State, ctx: &Context) -> Result<i64, Failure> {
    let id = ctx.id();
    let node = state
        .servers
        .get(&id)
        .map(|server| server.node_id)
        .ok_or_else(missing)?;
    let mut default = integer(ctx.field("allocation")).unwrap_or_default();
    let wanted = ids(ctx.field("add_allocations"));
    let fits = |port: &&i64| {
        state.free(**port)
            && state
                .allocations
                .get(port)
                .is_some_and(|row| row.node_id == node)
    };
    let added: Vec<i64> = wanted.iter().filter(fits).copied().collect();
    let removed = ids(ctx.field("remove_allocations"));
    if removed.contains(&default) {
        let detail = "You are attempting to delete the default allocation for this server but \
                      there is no fallback allocation to use.";
        let refuse = || Refusal::display(400, "DisplayException", detail);
        default = added.iter().min().copied().ok_or_else(refuse)?;
    }
    let owned = |port: i64| {
        let row = state.allocations.get(&port);
        added.contains(&port) || row.is_some_and(|row| row.server_id == Some(id))
    };
    let current = state.servers.get(&id).map(|server| server.allocation_id);
    if Some(default) != current && !owned(default) {
        let detail = "The requested default allocation is not currently assigned to this server.";
        return Err(Refusal::display(400, "DisplayException", detail).into());
    }
    for (port, row) in &mut state.allocations {
        if added.contains(port) {
            row.server_id = Some(id);
            row.notes = None;
        } else if removed.contains(port) && !wanted.contains(port) && row.server_id == Some(id) {
            row.server_id = None;
            row.notes = None;
        }
    }
    Ok(default)
}

fn apply_limits(server: &mut Server, ctx: &Context) {
    let value = |name: &str| {
        ctx.field(&format!("limits.{name}"))
            .or_else(|| ctx.field(name))
            .cloned()
    };
    let number = |name: &str, old: i64| integer(value(name).as_ref()).unwrap_or(old);
    let old = &server.limits;
    server.limits = Limits {
        memory: number("memory", old.memory),
        swap: number("swap", old.swap),
        disk: number("disk", old.disk),
        io: number("io", old.io),
        cpu: number("cpu", old.cpu),
        threads: match value("threads") {
            Some(threads) => text(Some(&threads)),
            None => old.threads.clone(),
        },
        oom_disabled: boolean(ctx.field("oom_disabled")).unwrap_or(old.oom_disabled),
    };
    let feature = |name: &str| integer(ctx.field(&format!("feature_limits.{name}")));
    // Null means unlimited here, except for backups.
    server.features.databases = feature("databases");
    server.features.allocations = feature("allocations");
    server.features.backups = feature("backups").unwrap_or(0);
}

/// Start command, egg, image and environment; a given environment rewrites every variable.
pub(crate) fn startup(state: &mut State, ctx: &Context) -> Handled {
    let id = ctx.id();
    ctx.form()
        .field("startup", request::startup())
        .field("environment", vec![Rule::Present, Rule::Array])
        .field("egg", request::egg(state))
        .field("image", request::image())
        .field("skip_scripts", vec![Rule::Present, Rule::Boolean])
        .check()?;
    let egg = integer(ctx.field("egg")).unwrap_or_default();
    let sent = ctx.field("environment");
    let given = sent
        .and_then(Value::as_object)
        .is_some_and(|map| !map.is_empty());
    let values = if given {
        Some(environment::check(state, egg, sent)?)
    } else {
        None
    };
    let server = state.servers.get_mut(&id).ok_or_else(missing)?;
    server.values.extend(values.unwrap_or_default());
    server.egg_id = egg;
    server.startup = text(ctx.field("startup")).unwrap_or_default();
    server.image = text(ctx.field("image")).unwrap_or_default();
    server.updated_at = ctx.now;
    show(state, ctx, id)
}

fn ids(value: Option<&Value>) -> Vec<i64> {
    let list = value
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|id| integer(Some(id))).collect()
}
