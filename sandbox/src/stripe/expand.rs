//! `expand[]`: puts whole objects in the place of their ids.

use serde_json::Value;

use super::api::Invocation;
use super::charges;
use super::errors::Refusal;
use super::version::ApiVersion;
use super::world::World;

/// Stripe follows at most four steps.
const DEEPEST: usize = 4;

/// Applies the `expand[]` of a request to its answer.
pub(super) fn answer(world: &World, ask: &Invocation, mut value: Value) -> Result<Value, Refusal> {
    for path in ask.params.words("expand") {
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() > DEEPEST {
            return Err(
                Refusal::invalid("You cannot expand more than 4 levels of a property.")
                    .param("expand"),
            );
        }
        apply(world, &ask.version, &mut value, &steps, path)?;
    }
    Ok(value)
}

fn apply(
    world: &World,
    version: &ApiVersion,
    value: &mut Value,
    steps: &[&str],
    path: &str,
) -> Result<(), Refusal> {
    let Some((field, rest)) = steps.split_first() else {
        return Ok(());
    };
    let object = value["object"].as_str().unwrap_or_default().to_owned();
    if object == "list" && *field == "data" {
        let rows = value["data"].as_array_mut().into_iter().flatten();
        return rows
            .into_iter()
            .try_for_each(|row| apply(world, version, row, rest, path));
    }
    if !can_expand(&object, field, version) {
        return Err(Refusal::invalid(format!(
            "This property cannot be expanded ({path})."
        )));
    }
    let id = if *field == "line_items" {
        &value["id"]
    } else {
        &value[*field]
    };
    if let Some(id) = id.as_str() {
        let whole = find(world, version, field, id);
        value[*field] = whole;
    }
    if rest.is_empty() || value[*field].is_null() {
        return Ok(());
    }
    apply(world, version, &mut value[*field], rest, path)
}

fn can_expand(object: &str, field: &str, version: &ApiVersion) -> bool {
    let fields: &[&str] = match object {
        "checkout.session" => &["line_items", "subscription", "customer", "invoice"],
        "subscription" => &["customer", "latest_invoice"],
        "invoice" => &["customer", "subscription"],
        "invoice_payment" => &["invoice"],
        "charge" if version.is_new() => &["customer"],
        "charge" => &["customer", "invoice"],
        "dispute" => &["charge"],
        _ => &[],
    };
    fields.contains(&field)
}

fn find(world: &World, version: &ApiVersion, field: &str, id: &str) -> Value {
    match field {
        "line_items" => world.sessions.get(id).map(|session| session.render_lines()),
        // It is named, yet not to be seen.
        "subscription" if world.lags.hides(id) => return Value::String(id.to_owned()),
        "subscription" => world
            .subscriptions
            .get(id)
            .map(|found| found.render(version)),
        "customer" => world.customers.get(id).map(|found| found.render()),
        "charge" => charges::by_id(world, id).map(|found| found.render(version)),
        _ => world.invoices.get(id).map(|found| found.render(version)),
    }
    .unwrap_or(Value::Null)
}
