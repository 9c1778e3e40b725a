//! The calls on disputes: reading them.

use serde_json::Value;

use super::super::api::Invocation;
use super::super::errors::Refusal;
use super::super::expand;
use super::super::schema::Schema;
use super::super::table::{Cursor, list};
use super::super::world::World;
use super::Dispute;

/// `GET /v1/disputes/{id}`.
pub(in super::super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    let rendered = world.disputes.find(ask.id())?.render();
    expand::answer(world, ask, rendered)
}

/// `GET /v1/disputes`: there is no filter by status.
pub(in super::super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema::list(&["charge", "payment_intent"]))?;
    let cursor = Cursor::read(params)?;
    let (payment, charge) = (params.text("payment_intent"), params.text("charge"));
    let (rows, more) = world.disputes.page(&cursor, |row| {
        payment.is_none_or(|payment| row.payment_intent == payment)
            && charge.is_none_or(|charge| row.charge == charge)
    })?;
    let data = rows.into_iter().map(Dispute::render).collect();
    expand::answer(world, ask, list("/v1/disputes", data, more))
}
