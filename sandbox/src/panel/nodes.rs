//! Nodes and locations: lists, views, and which nodes could take a server.

use serde_json::{Value, json};

use super::context::{Context, Handled, missing, ok};
use super::errors::Refusal;
use super::input::integer;
use super::listing::{Filters, SortKey, page, sort};
use super::render::Renderer;
use super::rows::{Location, Node};
use super::state::State;
use super::validate::{Form, Rule};

const FILTERS: [&str; 4] = ["uuid", "name", "fqdn", "daemon_token_id"];

pub(crate) fn list(state: &State, ctx: &Context) -> Handled {
    let filters = Filters::read(ctx, &FILTERS)?;
    let token_id = |node: &Node| node.daemon_token.split('.').next().map(str::to_owned);
    let mut rows: Vec<&Node> = state
        .nodes
        .values()
        .filter(|node| {
            filters.partial("uuid", Some(&node.uuid.to_string()))
                && filters.partial("name", Some(&node.name))
                && filters.partial("fqdn", Some(&node.fqdn))
                && filters.partial("daemon_token_id", token_id(node).as_deref())
        })
        .collect();
    sort(
        ctx,
        &["id", "uuid", "memory", "disk"],
        &mut rows,
        |node, column| match column {
            "uuid" => SortKey::Text(node.uuid.to_string()),
            "memory" => SortKey::Number(node.memory),
            "disk" => SortKey::Number(node.disk),
            _ => SortKey::Number(node.id),
        },
    )?;
    let renderer = Renderer {
        state,
        grants: ctx.grants,
    };
    ok(page(ctx, rows, |node| renderer.node(node, &ctx.includes))?)
}

pub(crate) fn view(state: &State, ctx: &Context) -> Handled {
    let node = state.nodes.get(&ctx.id()).ok_or_else(missing)?;
    ok(Renderer {
        state,
        grants: ctx.grants,
    }
    .node(node, &ctx.includes))
}

pub(crate) fn list_locations(state: &State, ctx: &Context) -> Handled {
    let filters = Filters::read(ctx, &["short", "long"])?;
    let mut rows: Vec<&Location> = state
        .locations
        .values()
        .filter(|row| {
            filters.partial("short", Some(&row.short)) && filters.partial("long", Some(&row.long))
        })
        .collect();
    sort(ctx, &["id"], &mut rows, |row, _| SortKey::Number(row.id))?;
    let renderer = Renderer {
        state,
        grants: ctx.grants,
    };
    ok(page(ctx, rows, |row| {
        renderer.location(row, &ctx.includes)
    })?)
}

pub(crate) fn view_location(state: &State, ctx: &Context) -> Handled {
    let row = state.locations.get(&ctx.id()).ok_or_else(missing)?;
    ok(Renderer {
        state,
        grants: ctx.grants,
    }
    .location(row, &ctx.includes))
}

/// Nodes with room. Unlike in lists, the sums come along as strings; pages only if asked for.
pub(crate) fn deployable(state: &State, ctx: &Context) -> Handled {
    let amount = || vec![Rule::Required, Rule::Integer, Rule::Min(0.0)];
    Form::new(&ctx.query)
        .field("page", vec![Rule::Integer])
        .field("memory", amount())
        .field("disk", amount())
        .field("location_ids", vec![Rule::Array])
        .each("location_ids", || vec![Rule::Integer])
        .check()?;
    let locations: Vec<i64> = match ctx.query.get("location_ids") {
        Some(Value::Array(ids)) => ids.iter().filter_map(|id| integer(Some(id))).collect(),
        _ => Vec::new(),
    };
    let memory = integer(ctx.query.get("memory")).unwrap_or_default();
    let disk = integer(ctx.query.get("disk")).unwrap_or_default();
    let rows = viable(state, &locations, memory, disk)?;
    let renderer = Renderer {
        state,
        grants: ctx.grants,
    };
    let render = |node: &Node| {
        let (memory, disk) = state.used_on(node.id);
        let mut item = renderer.node(node, &ctx.includes);
        item["attributes"]["sum_memory"] = json!(memory.to_string());
        item["attributes"]["sum_disk"] = json!(disk.to_string());
        item
    };
    if ctx.query.get("page").is_some_and(|page| !page.is_null()) {
        return ok(page(ctx, rows, render)?);
    }
    ok(super::context::list(rows.into_iter().map(render).collect()))
}

/// Public nodes with room for this much. Maintenance does not matter, nor does an allowance of -1
/// mean "unlimited".
pub(crate) fn viable<'a>(
    state: &'a State,
    locations: &[i64],
    memory: i64,
    disk: i64,
) -> Result<Vec<&'a Node>, Refusal> {
    let room = |total: i64, allowance: i64| total as f64 * (1.0 + allowance as f64 / 100.0);
    let rows: Vec<&Node> = state
        .nodes
        .values()
        .filter(|node| node.public)
        .filter(|node| locations.is_empty() || locations.contains(&node.location_id))
        .filter(|node| {
            let (used_memory, used_disk) = state.used_on(node.id);
            (used_memory + memory) as f64 <= room(node.memory, node.memory_overallocate)
                && (used_disk + disk) as f64 <= room(node.disk, node.disk_overallocate)
        })
        .collect();
    if rows.is_empty() {
        let detail = "No nodes satisfying the requirements specified for automatic deployment \
                      could be found.";
        return Err(Refusal::display(400, "NoViableNodeException", detail));
    }
    Ok(rows)
}
