//! `POST /v1/checkout/sessions`: everything Stripe checks before it opens a page.
//!
//! First the text of the request alone, then the objects it names; only the second
//! part counts as begun work.

use url::Url;

use super::super::api::Invocation;
use super::super::customers::check_email;
use super::super::errors::Refusal;
use super::super::expand;
use super::super::form::{Params, without_empty};
use super::super::schema::Schema;
use super::super::world::{Due, World};
use super::cart::{find_lines, find_promotion, read_quantities};
use super::{PaymentStatus, Session, SessionStatus};
use serde_json::Value;

const SCHEMA: Schema = Schema {
    unsimulated: &[
        "adaptive_pricing",
        "after_expiration",
        "branding_settings",
        "consent_collection",
        "currency",
        "custom_fields",
        "custom_text",
        "customer_account",
        "customer_creation",
        "excluded_payment_method_types",
        "invoice_creation",
        "managed_payments",
        "name_collection",
        "optional_items",
        "origin_context",
        "payment_intent_data",
        "payment_method_configuration",
        "payment_method_data",
        "payment_method_options",
        "permissions",
        "phone_number_collection",
        "redirect_on_completion",
        "return_url",
        "saved_payment_method_options",
        "setup_intent_data",
        "shipping_address_collection",
        "shipping_options",
        "submit_type",
        "tax_id_collection",
        "wallet_options",
        "automatic_tax[liability][type]",
        "automatic_tax[liability][account]",
        "subscription_data[application_fee_percent]",
        "subscription_data[billing_cycle_anchor]",
        "subscription_data[default_tax_rates]",
        "subscription_data[on_behalf_of]",
        "subscription_data[proration_behavior]",
        "subscription_data[trial_end]",
        "subscription_data[trial_period_days]",
    ],
    ..Schema::of(&[
        "mode",
        "ui_mode",
        "success_url",
        "cancel_url",
        "customer",
        "customer_email",
        "customer_update[address]",
        "customer_update[name]",
        "customer_update[shipping]",
        "client_reference_id",
        "metadata[*]",
        "subscription_data[metadata][*]",
        "subscription_data[description]",
        "subscription_data[billing_mode][type]",
        "line_items[*][price]",
        "line_items[*][quantity]",
        "line_items[*][metadata][*]",
        "allow_promotion_codes",
        "discounts[*][coupon]",
        "discounts[*][promotion_code]",
        "automatic_tax[enabled]",
        "payment_method_types[*]",
        "payment_method_collection",
        "expires_at",
        "locale",
        "billing_address_collection",
    ])
};

const METHODS: [&str; 18] = [
    "acss_debit",
    "affirm",
    "amazon_pay",
    "au_becs_debit",
    "bacs_debit",
    "bancontact",
    "boleto",
    "card",
    "cashapp",
    "customer_balance",
    "eps",
    "ideal",
    "klarna",
    "link",
    "p24",
    "paypal",
    "sepa_debit",
    "us_bank_account",
];

const SHORTEST_LIFE: i64 = 30 * 60;
const LONGEST_LIFE: i64 = 24 * 60 * 60;

/// Opens a session.
pub(in super::super) fn create(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&SCHEMA)?;
    check_text(params, ask.version.hosted())?;
    let expires_at = read_expiry(params, world.now())?;
    let quantities = read_quantities(params)?;
    let metadata = without_empty(params.metadata("metadata")?);
    let subscription_metadata = without_empty(params.metadata("subscription_data[metadata]")?);

    let lines = find_lines(world, params, quantities)?;
    let promotion = find_promotion(world, params)?;
    let customer = params.owned("customer");
    let mut buyer_email = params.owned("customer_email");
    if let Some(id) = &customer {
        let missing = || Refusal::no_such("customer", id, "customer");
        buyer_email.clone_from(&world.customers.get(id).ok_or_else(missing)?.email);
    }
    let id = world.ids.session(world.livemode);
    let session = Session {
        url: format!("{}/c/pay/{id}", world.base_url),
        created: world.now(),
        expires_at,
        livemode: world.livemode,
        status: SessionStatus::Open,
        payment_status: PaymentStatus::Unpaid,
        async_failed: false,
        success_url: params.required("success_url")?.to_owned(),
        cancel_url: params.owned("cancel_url"),
        customer,
        customer_email: params.owned("customer_email"),
        buyer_email,
        client_reference_id: params.owned("client_reference_id"),
        metadata,
        subscription_metadata,
        subscription_description: params.owned("subscription_data[description]"),
        billing_mode: params
            .owned("subscription_data[billing_mode][type]")
            .unwrap_or_else(|| {
                if ask.version.is_new() {
                    "flexible"
                } else {
                    "classic"
                }
                .to_owned()
            }),
        currency: lines
            .first()
            .map(|line| line.price.spec.currency.clone())
            .unwrap_or_default(),
        lines,
        automatic_tax: params.boolean("automatic_tax[enabled]")?.unwrap_or(false),
        allow_promotion_codes: params.boolean("allow_promotion_codes")?,
        promotion,
        tax: 0,
        payment_method_types: read_methods(params)?,
        payment_method_collection: params
            .owned("payment_method_collection")
            .unwrap_or_else(|| "always".to_owned()),
        locale: params.owned("locale"),
        billing_address_collection: params.owned("billing_address_collection"),
        subscription: None,
        invoice: None,
        id,
    };
    world
        .due
        .insert((expires_at, Due::Session(session.id.clone())));
    let rendered = session.render(&ask.version);
    world.sessions.put(session);
    expand::answer(world, ask, rendered)
}

/// The checks that need nothing but the request.
fn check_text(params: &Params, hosted: &str) -> Result<(), Refusal> {
    match params.one_of("mode", &["payment", "setup", "subscription"])? {
        Some("subscription") => {}
        Some(other) => return Err(Refusal::not_simulated(&format!("mode={other}")).param("mode")),
        None => return Err(Refusal::missing("mode")),
    }
    if let Some(mode) = params.text("ui_mode")
        && mode != hosted
    {
        return Err(
            Refusal::invalid(format!("Invalid ui_mode: must be {hosted} here")).param("ui_mode"),
        );
    }
    check_url(params.required("success_url")?, "success_url")?;
    if let Some(url) = params.text("cancel_url") {
        check_url(url, "cancel_url")?;
    }
    if params.text("customer").is_some() && params.text("customer_email").is_some() {
        return Err(Refusal::invalid(
            "You may only specify one of these parameters: customer, customer_email.",
        )
        .param("customer_email"));
    }
    if let Some(email) = params.text("customer_email") {
        check_email(email, "customer_email")?;
    }
    if params.text("customer").is_none() && !params.brackets("customer_update").is_empty() {
        return Err(
            Refusal::invalid("`customer_update` can only be used with `customer`.")
                .param("customer_update"),
        );
    }
    if params
        .text("client_reference_id")
        .is_some_and(|text| text.chars().count() > 200)
    {
        return Err(
            Refusal::invalid("This value may have at most 200 characters.")
                .param("client_reference_id"),
        );
    }
    for part in ["address", "name", "shipping"] {
        params.one_of(&format!("customer_update[{part}]"), &["auto", "never"])?;
    }
    let taxed = params.boolean("automatic_tax[enabled]")? == Some(true);
    let address = params.text("customer_update[address]");
    if taxed && params.text("customer").is_some() && address != Some("auto") {
        // No customer of this stand-in has an address yet.
        return Err(Refusal::invalid(
            "Automatic tax needs the customer's address. Set `customer_update[address]` to 'auto'.",
        )
        .code("customer_tax_location_invalid"));
    }
    params.one_of("payment_method_collection", &["always", "if_required"])?;
    params.one_of("billing_address_collection", &["auto", "required"])?;
    params.one_of(
        "subscription_data[billing_mode][type]",
        &["classic", "flexible"],
    )?;
    read_methods(params)?;
    let codes = params.boolean("allow_promotion_codes")?;
    if codes.is_some() && !params.brackets("discounts").is_empty() {
        return Err(Refusal::invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
        )
        .param("discounts"));
    }
    Ok(())
}

fn check_url(text: &str, param: &str) -> Result<(), Refusal> {
    let filled = text.replace(super::complete::SESSION_ID_PLACE, "cs");
    let valid = Url::parse(&filled)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    if valid {
        return Ok(());
    }
    Err(Refusal::invalid("Not a valid URL")
        .code("url_invalid")
        .param(param))
}

fn read_methods(params: &Params) -> Result<Vec<String>, Refusal> {
    for key in params.brackets("payment_method_types") {
        params.one_of(&format!("payment_method_types[{key}]"), &METHODS)?;
    }
    let mut methods: Vec<String> = Vec::new();
    methods.extend(
        params
            .words("payment_method_types")
            .into_iter()
            .map(str::to_owned),
    );
    if methods.is_empty() {
        // Without a choice of the shop's, the account's own settings decide.
        methods.extend(["card", "sepa_debit"].map(str::to_owned));
    }
    Ok(methods)
}

fn read_expiry(params: &Params, now: i64) -> Result<i64, Refusal> {
    let expires_at = params.integer("expires_at")?.unwrap_or(now + LONGEST_LIFE);
    let problem = if expires_at < now + SHORTEST_LIFE {
        "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."
    } else if expires_at > now + LONGEST_LIFE {
        "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."
    } else {
        return Ok(expires_at);
    };
    Err(Refusal::invalid(problem).param("expires_at"))
}
