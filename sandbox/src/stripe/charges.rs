//! Charges: what a payment took from a card, behind the payment of each paid invoice.
//!
//! None is stored: a charge is looked up from its invoice. Only a payment that no invoice asked
//! for is kept by itself. A charge knows neither order nor subscription, and carries no metadata:
//! the way from it leads over its payment.

use serde_json::{Value, json};

use super::api::Invocation;
use super::errors::Refusal;
use super::expand;
use super::invoices::{Invoice, InvoiceStatus};
use super::refunds;
use super::schema::Schema;
use super::table::Row;
use super::version::ApiVersion;
use super::world::World;

/// A charge as it is at one moment.
#[derive(Clone)]
pub(super) struct Charge {
    pub id: String,
    pub created: i64,
    pub livemode: bool,
    pub payment_intent: String,
    pub amount: i64,
    pub currency: String,
    pub customer: Option<String>,
    pub invoice: Option<String>,
    /// What went back so far.
    pub refunded: i64,
    pub disputed: bool,
}

impl Row for Charge {
    const OBJECT: &'static str = "charge";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Charge {
    /// The charge of a paid invoice; none where no money moved.
    fn of(invoice: &Invoice) -> Option<Self> {
        let paid = invoice.status == InvoiceStatus::Paid && invoice.total() > 0;
        paid.then(|| Self {
            id: invoice.charge.clone(),
            created: invoice.paid_at.unwrap_or(invoice.created),
            livemode: invoice.livemode,
            payment_intent: invoice.payment_intent.clone(),
            amount: invoice.total(),
            currency: invoice.currency.clone(),
            customer: Some(invoice.customer.clone()),
            invoice: Some(invoice.id.clone()),
            refunded: 0,
            disputed: false,
        })
    }

    /// With what happened to it since it was paid.
    fn at_present(mut self, world: &World) -> Self {
        self.refunded = refunds::sum_of(world, &self.id);
        // Stripe leaves the mark even where the dispute was won.
        self.disputed = world.disputes.iter().any(|one| one.charge == self.id);
        self
    }

    /// What can still go back.
    pub(super) fn left(&self) -> i64 {
        self.amount - self.refunded
    }

    /// Up to acacia a charge names its invoice; since basil the way goes over its payment.
    pub(super) fn render(&self, version: &ApiVersion) -> Value {
        let mut charge = json!({
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount,
            "amount_refunded": self.refunded,
            "balance_transaction": self.id.replacen("ch_", "txn_", 1),
            "captured": true,
            "created": self.created,
            "currency": self.currency,
            "customer": self.customer,
            "description": null,
            "disputed": self.disputed,
            "failure_code": null,
            "livemode": self.livemode,
            "metadata": {},
            "paid": true,
            "payment_intent": self.payment_intent,
            "refunded": self.left() <= 0,
            "status": "succeeded",
        });
        if !version.is_new() {
            charge["invoice"] = json!(self.invoice);
        }
        charge
    }
}

/// The charge that a test of it holds for.
pub(super) fn find(world: &World, wanted: impl Fn(&Charge) -> bool) -> Option<Charge> {
    let invoices = world.invoices.iter().filter_map(Charge::of);
    let found = invoices.chain(world.strays.iter().cloned()).find(wanted);
    found.map(|charge| charge.at_present(world))
}

/// The charge with an id.
pub(super) fn by_id(world: &World, id: &str) -> Option<Charge> {
    find(world, |charge| charge.id == id)
}

/// The charge of a payment, by whatever leads to it: `pi_`, `ch_`, `in_`, or a `sub_` or `cs_`
/// for the last payment of it.
pub(super) fn named(world: &World, name: &str) -> Result<Charge, Refusal> {
    let session = world.sessions.get(name);
    let subscription = match session {
        Some(session) => session.subscription.as_deref(),
        None => Some(name),
    };
    let invoices = world.invoices.iter().rev();
    let of_subscription = invoices
        .filter(|invoice| Some(invoice.subscription.as_str()) == subscription)
        .find_map(Charge::of);
    let found = match of_subscription {
        Some(charge) => Some(charge.at_present(world)),
        None => find(world, |charge| {
            charge.id == name
                || charge.payment_intent == name
                || charge.invoice.as_deref() == Some(name)
        }),
    };
    found.ok_or_else(|| {
        let known = session.is_some()
            || world.subscriptions.get(name).is_some()
            || world.invoices.get(name).is_some();
        match known {
            true => Refusal::invalid(format!("Nothing was paid for {name}.")).by_state(),
            false => Refusal::not_found(Charge::OBJECT, name),
        }
    })
}

/// The subscription that a payment was for, if any.
pub(super) fn subscription_of(world: &World, payment: &str) -> Option<String> {
    let mut invoices = world.invoices.iter();
    let paid = invoices.find(|invoice| invoice.payment_intent == payment)?;
    Some(paid.subscription.clone())
}

/// Takes a payment that no invoice asked for, as another shop of the account does.
pub(super) fn stray(world: &mut World, amount: i64, currency: &str) -> Result<Charge, Refusal> {
    if amount < 1 {
        return Err(Refusal::invalid("Invalid positive integer").param("amount"));
    }
    let charge = Charge {
        id: world.ids.make("ch_"),
        created: world.now(),
        livemode: world.livemode,
        payment_intent: world.ids.make("pi_"),
        amount,
        currency: currency.to_owned(),
        customer: None,
        invoice: None,
        refunded: 0,
        disputed: false,
    };
    world.strays.put(charge.clone());
    Ok(charge)
}

/// `GET /v1/charges/{id}`.
pub(super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    let found = by_id(world, ask.id());
    let charge = found.ok_or_else(|| Refusal::not_found(Charge::OBJECT, ask.id()))?;
    expand::answer(world, ask, charge.render(&ask.version))
}
