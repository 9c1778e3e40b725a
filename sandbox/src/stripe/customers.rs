//! Customers: made by the shop, or by Checkout for a buyer who has none.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::Invocation;
use super::errors::Refusal;
use super::events::Subject;
use super::form::without_empty;
use super::schema::Schema;
use super::table::{Cursor, Row, list};
use super::world::World;

/// A stored customer.
#[derive(Clone)]
pub(super) struct Customer {
    pub id: String,
    pub created: i64,
    pub livemode: bool,
    pub email: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub phone: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

impl Row for Customer {
    const OBJECT: &'static str = "customer";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Customer {
    /// The object as it is answered; the same in every version.
    pub(super) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "object": "customer",
            "address": null,
            "balance": 0,
            "created": self.created,
            "currency": null,
            "default_source": null,
            "delinquent": false,
            "description": self.description,
            "discount": null,
            "email": self.email,
            "invoice_settings": {
                "custom_fields": null,
                "default_payment_method": null,
                "footer": null,
                "rendering_options": null,
            },
            "livemode": self.livemode,
            "metadata": self.metadata,
            "name": self.name,
            "phone": self.phone,
            "preferred_locales": [],
            "shipping": null,
            "tax_exempt": "none",
            "test_clock": null,
        })
    }
}

const CREATE: Schema = Schema {
    unsimulated: &[
        "address",
        "balance",
        "cash_balance",
        "coupon",
        "invoice_prefix",
        "invoice_settings",
        "payment_method",
        "preferred_locales",
        "promotion_code",
        "shipping",
        "source",
        "tax",
        "tax_exempt",
        "tax_id_data",
        "test_clock",
    ],
    ..Schema::of(&["email", "name", "description", "phone", "metadata[*]"])
};

/// `POST /v1/customers`.
pub(super) fn create(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&CREATE)?;
    if let Some(email) = params.text("email") {
        check_email(email, "email")?;
    }
    let customer = Customer {
        id: world.ids.make("cus_"),
        created: world.now(),
        livemode: world.livemode,
        email: params.owned("email"),
        name: params.owned("name"),
        description: params.owned("description"),
        phone: params.owned("phone"),
        metadata: without_empty(params.metadata("metadata")?),
    };
    add(world, customer.clone());
    Ok(customer.render())
}

const UPDATE: Schema = Schema {
    unsimulated: &[
        "address",
        "balance",
        "cash_balance",
        "default_source",
        "invoice_prefix",
        "invoice_settings",
        "next_invoice_sequence",
        "preferred_locales",
        "shipping",
        "source",
        "tax",
        "tax_exempt",
    ],
    clearable: &["email", "name", "description", "phone"],
    ..Schema::of(&["email", "name", "description", "phone", "metadata[*]"])
};

/// `POST /v1/customers/{id}`: what is sent replaces what was there, an empty text clears, and
/// metadata is changed key by key.
pub(super) fn update(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&UPDATE)?;
    if let Some(email) = params.text("email").filter(|email| !email.is_empty()) {
        check_email(email, "email")?;
    }
    let metadata = params.metadata("metadata")?;
    let customer = world.customers.find_mut(ask.id())?;
    let before = customer.clone();
    for (key, field) in [
        ("email", &mut customer.email),
        ("name", &mut customer.name),
        ("description", &mut customer.description),
        ("phone", &mut customer.phone),
    ] {
        if let Some(value) = params.owned(key) {
            *field = Some(value).filter(|value| !value.is_empty());
        }
    }
    customer.metadata.extend(metadata);
    customer.metadata.retain(|_, value| !value.is_empty());
    let after = customer.clone();
    if after.render() != before.render() {
        world.emit(
            "customer.updated",
            Subject::Customer(Box::new(after.clone())),
            Some(Subject::Customer(Box::new(before))),
        );
    }
    Ok(after.render())
}

/// `GET /v1/customers/{id}`.
pub(super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    Ok(world.customers.find(ask.id())?.render())
}

/// `GET /v1/customers`.
pub(super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::list(&["email"]))?;
    let cursor = Cursor::read(&ask.params)?;
    let email = ask.params.text("email");
    let (rows, more) = world.customers.page(&cursor, |row| {
        email.is_none() || row.email.as_deref() == email
    })?;
    Ok(list(
        "/v1/customers",
        rows.into_iter().map(Customer::render).collect(),
        more,
    ))
}

/// Makes the customer that Checkout keeps for a buyer without one.
pub(super) fn create_for_buyer(world: &mut World, email: &str) -> String {
    let customer = Customer {
        id: world.ids.make("cus_"),
        created: world.now(),
        livemode: world.livemode,
        email: Some(email.to_owned()),
        name: None,
        description: None,
        phone: None,
        metadata: BTreeMap::new(),
    };
    let id = customer.id.clone();
    add(world, customer);
    id
}

/// Refuses what cannot be an e-mail address.
pub(super) fn check_email(text: &str, param: &str) -> Result<(), Refusal> {
    let whole = text.len() <= 512 && !text.contains(char::is_whitespace);
    let parted = text
        .rsplit_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.len() > 2 && !host.starts_with('.'));
    if whole && parted {
        return Ok(());
    }
    Err(Refusal::invalid(format!("Invalid email address: {text}"))
        .code("email_invalid")
        .param(param))
}

fn add(world: &mut World, customer: Customer) {
    world.customers.put(customer.clone());
    world.emit(
        "customer.created",
        Subject::Customer(Box::new(customer)),
        None,
    );
}
