//! The API calls on prices: make, archive, read, list.

use serde_json::Value;

use super::super::api::Invocation;
use super::super::errors::Refusal;
use super::super::form::without_empty;
use super::super::periods::Interval;
use super::super::schema::Schema;
use super::super::table::{Cursor, list};
use super::super::world::World;
use super::{Price, PriceSpec};

const CREATE: Schema = Schema {
    unsimulated: &[
        "billing_scheme",
        "currency_options",
        "custom_unit_amount",
        "tax_behavior",
        "tiers",
        "tiers_mode",
        "transfer_lookup_key",
        "transform_quantity",
        "unit_amount_decimal",
    ],
    ..Schema::of(&[
        "currency",
        "product",
        "product_data[name]",
        "unit_amount",
        "recurring[interval]",
        "recurring[interval_count]",
        "recurring[usage_type]",
        "active",
        "nickname",
        "lookup_key",
        "metadata[*]",
    ])
};

/// `POST /v1/prices`.
pub(in super::super) fn create(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&CREATE)?;
    let currency = params.required("currency")?.to_lowercase();
    if currency.len() != 3 || !currency.chars().all(|letter| letter.is_ascii_lowercase()) {
        return Err(Refusal::invalid(format!("Invalid currency: {currency}")).param("currency"));
    }
    let unit_amount = params
        .integer("unit_amount")?
        .ok_or_else(|| Refusal::missing("unit_amount"))?;
    if unit_amount < 0 {
        return Err(Refusal::invalid("Invalid non-negative integer")
            .code("parameter_invalid_integer")
            .param("unit_amount"));
    }
    let product = match (params.owned("product"), params.text("product_data[name]")) {
        (Some(product), None) => product,
        (None, Some(_)) => world.ids.make("prod_"),
        (None, None) => return Err(Refusal::missing("product")),
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid(
                "You may only specify one of these parameters: product, \
                 product_data.",
            )
            .param("product_data"));
        }
    };
    let words = ["day", "week", "month", "year"];
    let interval = params
        .one_of("recurring[interval]", &words)?
        .and_then(Interval::parse);
    let interval_count = params.integer("recurring[interval_count]")?.unwrap_or(1);
    match interval {
        None if !params.brackets("recurring").is_empty() => {
            return Err(Refusal::missing("recurring[interval]"));
        }
        Some(interval) if !(1..=interval.max_count()).contains(&interval_count) => {
            return Err(
                Refusal::invalid("The interval of a price may be at most three years.")
                    .param("recurring[interval_count]"),
            );
        }
        _ => {}
    }
    let usage = params.one_of("recurring[usage_type]", &["licensed", "metered"])?;
    let metered = usage == Some("metered");
    let active = params.boolean("active")?.unwrap_or(true);
    let spec = PriceSpec {
        id: world.ids.make("price_"),
        product,
        currency,
        unit_amount,
        interval,
        interval_count,
        active,
    };
    let price = Price {
        metered,
        nickname: params.owned("nickname"),
        lookup_key: params.owned("lookup_key"),
        metadata: without_empty(params.metadata("metadata")?),
        ..Price::plain(spec, world.now(), world.livemode)
    };
    world.prices.put(price.clone());
    Ok(price.render())
}

/// `POST /v1/prices/{id}`: the few things that may change on a price.
pub(in super::super) fn update(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema {
        clearable: &["nickname"],
        ..Schema::of(&["active", "nickname", "metadata[*]"])
    })?;
    let active = params.boolean("active")?;
    let metadata = params.metadata("metadata")?;
    let price = world.prices.find_mut(ask.id())?;
    if let Some(active) = active {
        price.spec.active = active;
    }
    if let Some(nickname) = params.owned("nickname") {
        price.nickname = Some(nickname).filter(|text| !text.is_empty());
    }
    price.metadata.extend(metadata);
    price.metadata.retain(|_, value| !value.is_empty());
    Ok(price.render())
}

/// `GET /v1/prices/{id}`.
pub(in super::super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    Ok(world.prices.find(ask.id())?.render())
}

/// `GET /v1/prices`.
pub(in super::super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema::list(&[
        "active",
        "currency",
        "product",
        "type",
        "lookup_keys[*]",
    ]))?;
    let cursor = Cursor::read(params)?;
    let active = params.boolean("active")?;
    let (currency, product) = (params.text("currency"), params.text("product"));
    let kind = params.one_of("type", &["one_time", "recurring"])?;
    let keys = params.words("lookup_keys");
    let (rows, more) = world.prices.page(&cursor, |row| {
        let spec = &row.spec;
        active.is_none_or(|active| spec.active == active)
            && currency.is_none_or(|currency| spec.currency == currency)
            && product.is_none_or(|product| spec.product == product)
            && kind.is_none_or(|kind| (kind == "recurring") == spec.interval.is_some())
            && (keys.is_empty()
                || row
                    .lookup_key
                    .as_deref()
                    .is_some_and(|key| keys.contains(&key)))
    })?;
    Ok(list(
        "/v1/prices",
        rows.into_iter().map(Price::render).collect(),
        more,
    ))
}
