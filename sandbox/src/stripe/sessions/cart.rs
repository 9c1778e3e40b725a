//! The lines of a new session: which prices they name, and whether they go together.

use super::super::errors::Refusal;
use super::super::form::{Params, without_empty};
use super::super::world::World;
use super::{Promotion, SessionLine};

/// Recurring and one-time lines, each.
const MOST_LINES: usize = 20;

/// Bracket and quantity of every line.
pub(super) fn read_quantities(params: &Params) -> Result<Vec<(String, i64)>, Refusal> {
    let mut lines = Vec::new();
    for key in params.brackets("line_items") {
        params.required(&format!("line_items[{key}][price]"))?;
        let param = format!("line_items[{key}][quantity]");
        let quantity = params
            .integer(&param)?
            .ok_or_else(|| Refusal::missing(&*param))?;
        if !(1..=999_999).contains(&quantity) {
            return Err(Refusal::invalid("Quantity must be between 1 and 999999.")
                .code("parameter_invalid_integer")
                .param(param));
        }
        params.metadata(&format!("line_items[{key}][metadata]"))?;
        lines.push((key.to_owned(), quantity));
    }
    if lines.is_empty() {
        return Err(Refusal::missing("line_items"));
    }
    Ok(lines)
}

/// The lines with the prices they name, checked one by one and together.
pub(super) fn find_lines(
    world: &mut World,
    params: &Params,
    quantities: Vec<(String, i64)>,
) -> Result<Vec<SessionLine>, Refusal> {
    let mut lines = Vec::new();
    for (key, quantity) in quantities {
        let param = format!("line_items[{key}][price]");
        let id = params.required(&param)?;
        let Some(price) = world.prices.get(id).cloned() else {
            return Err(Refusal::no_such("price", id, param));
        };
        if !price.spec.active {
            return Err(Refusal::invalid(
                "The price specified is inactive. This field only accepts active prices.",
            )
            .param(param)
            .by_state());
        }
        if price.metered {
            return Err(Refusal::not_simulated("metered prices in Checkout").param(param));
        }
        lines.push(SessionLine {
            id: world.ids.make("li_"),
            price,
            quantity,
            metadata: without_empty(params.metadata(&format!("line_items[{key}][metadata]"))?),
        });
    }
    check_together(&lines)?;
    Ok(lines)
}

/// One currency, one period, at least one recurring price, not too many lines.
fn check_together(lines: &[SessionLine]) -> Result<(), Refusal> {
    let refuse = |text: &str| Err(Refusal::invalid(text).param("line_items").by_state());
    let recurring: Vec<_> = lines
        .iter()
        .filter(|line| line.price.spec.interval.is_some())
        .collect();
    let Some(first) = recurring.first() else {
        return refuse("You must provide at least one recurring price in `subscription` mode.");
    };
    if recurring.len() > MOST_LINES || lines.len() - recurring.len() > MOST_LINES {
        return refuse("A session may have at most 20 recurring and 20 one-time line items.");
    }
    let period = |line: &SessionLine| (line.price.spec.interval, line.price.spec.interval_count);
    if recurring.iter().any(|line| period(line) != period(first)) {
        return refuse(
            "Checkout does not support multiple prices with different billing intervals.",
        );
    }
    if lines
        .iter()
        .any(|line| line.price.spec.currency != first.price.spec.currency)
    {
        return refuse("All line items must have the same currency.");
    }
    Ok(())
}

/// The discount the shop asked for.
pub(super) fn find_promotion(world: &World, params: &Params) -> Result<Option<Promotion>, Refusal> {
    let keys = params.brackets("discounts");
    if keys.len() > 1 {
        return Err(Refusal::invalid("You may give at most one discount.").param("discounts"));
    }
    let Some(key) = keys.first() else {
        return Ok(None);
    };
    let coupon = format!("discounts[{key}][coupon]");
    let promotion_code = format!("discounts[{key}][promotion_code]");
    let (param, object, code) = match (params.text(&coupon), params.text(&promotion_code)) {
        (Some(code), None) => (coupon, "coupon", code),
        (None, Some(code)) => (promotion_code, "promotion code", code),
        _ => return Err(Refusal::invalid("Give a coupon or a promotion code.").param("discounts")),
    };
    let found = world
        .config
        .promotions
        .iter()
        .find(|promotion| promotion.code == code);
    found
        .cloned()
        .map(Some)
        .ok_or_else(|| Refusal::no_such(object, code, param.clone()))
}
