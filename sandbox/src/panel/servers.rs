//! Servers: look-ups, lists and databases here; create, life cycle and updates in files of their own.

pub(crate) mod create;
mod deploy;
pub(crate) mod environment;
pub(crate) mod lifecycle;
mod request;
pub(crate) mod updates;

use super::context::{Context, Handled, list as plain_list, missing, ok};
use super::errors::Refusal;
use super::input::folded;
use super::listing::{Filters, SortKey, page, sort};
use super::render::Renderer;
use super::rows::Server;
use super::state::State;
use super::validate::{Rule, pattern};

const FILTERS: [&str; 6] = [
    "uuid",
    "uuidShort",
    "name",
    "description",
    "image",
    "external_id",
];

pub(crate) fn list(state: &State, ctx: &Context) -> Handled {
    let filters = Filters::read(ctx, &FILTERS)?;
    let mut rows: Vec<&Server> = state
        .servers
        .values()
        .filter(|server| {
            filters.partial("uuid", Some(&server.uuid.to_string()))
                && filters.partial("uuidShort", Some(&server.identifier()))
                && filters.partial("name", Some(&server.name))
                && filters.partial("description", Some(&server.description))
                && filters.partial("image", Some(&server.image))
                && filters.partial("external_id", server.external_id.as_deref())
        })
        .collect();
    sort(
        ctx,
        &["id", "uuid"],
        &mut rows,
        |server, column| match column {
            "uuid" => SortKey::Text(server.uuid.to_string()),
            _ => SortKey::Number(server.id),
        },
    )?;
    transfer_include(ctx)?;
    let renderer = Renderer {
        state,
        grants: ctx.grants,
    };
    ok(page(ctx, rows, |server| {
        renderer.server(server, &ctx.includes)
    })?)
}

pub(crate) fn view(state: &State, ctx: &Context) -> Handled {
    show(state, ctx, ctx.id())
}

/// The look-up ignores case and trailing blanks, as the database's collation does.
pub(crate) fn view_external(state: &State, ctx: &Context) -> Handled {
    let wanted = folded(ctx.params.first().map_or("", String::as_str));
    let same = |row: &&Server| row.external_id.as_deref().map(folded) == Some(wanted.clone());
    let found = state.servers.values().find(same).map(|server| server.id);
    show(state, ctx, found.ok_or_else(missing)?)
}

pub(crate) fn show(state: &State, ctx: &Context, id: i64) -> Handled {
    let server = state.servers.get(&id).ok_or_else(missing)?;
    transfer_include(ctx)?;
    ok(Renderer {
        state,
        grants: ctx.grants,
    }
    .server(server, &ctx.includes))
}

/// The panel declares this relation and cannot render it.
fn transfer_include(ctx: &Context) -> Result<(), Refusal> {
    if ctx.includes.has("transfer") {
        return Err(Refusal::internal("BadMethodCallException"));
    }
    Ok(())
}

/// No database host is set up, so there is never a database.
pub(crate) fn list_databases() -> Handled {
    ok(plain_list(Vec::new()))
}

pub(crate) fn create_database(ctx: &Context) -> Handled {
    ctx.form()
        .field(
            "database",
            vec![
                Rule::Required,
                Rule::AlphaDash,
                Rule::Min(1.0),
                Rule::Max(48.0),
            ],
        )
        .field(
            "remote",
            vec![Rule::Required, Rule::String, pattern("^[0-9%.]{1,15}$")],
        )
        .labelled(
            "host",
            "Database Host Server ID",
            vec![
                Rule::Required,
                Rule::Integer,
                Rule::Exists(Box::new(|_| false)),
            ],
        )
        .check()?;
    Err(missing())
}
