//! Nests and their eggs: read-only. The list of eggs has no pages.

use super::context::{Context, Handled, list, missing, ok};
use super::listing::page;
use super::render::Renderer;
use super::state::State;

pub(crate) fn list_nests(state: &State, ctx: &Context) -> Handled {
    let renderer = Renderer {
        state,
        grants: ctx.grants,
    };
    let rows = state.nests.values().collect();
    ok(page(ctx, rows, |nest| renderer.nest(nest, &ctx.includes))?)
}

pub(crate) fn view_nest(state: &State, ctx: &Context) -> Handled {
    let nest = state.nests.get(&ctx.id()).ok_or_else(missing)?;
    ok(Renderer {
        state,
        grants: ctx.grants,
    }
    .nest(nest, &ctx.includes))
}

pub(crate) fn list_eggs(state: &State, ctx: &Context) -> Handled {
    let renderer = Renderer {
        state,
        grants: ctx.grants,
    };
    let rows = state.eggs.values().filter(|egg| egg.nest_id == ctx.id());
    ok(list(
        rows.map(|egg| renderer.egg(egg, &ctx.includes)).collect(),
    ))
}

pub(crate) fn view_egg(state: &State, ctx: &Context) -> Handled {
    let id = ctx.ids.last().copied().unwrap_or_default();
    let egg = state.eggs.get(&id).ok_or_else(missing)?;
    ok(Renderer {
        state,
        grants: ctx.grants,
    }
    .egg(egg, &ctx.includes))
}
