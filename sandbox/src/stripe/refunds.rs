//! Refunds: money of a charge that goes back, whole or in part, and never twice.
//!
//! By the API or by hand: what is told of both is the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::Invocation;
use super::charges::{self, Charge};
use super::disputes;
use super::errors::Refusal;
use super::events::Subject;
use super::form::without_empty;
use super::schema::Schema;
use super::table::{Cursor, Row, list};
use super::world::World;

/// Words that Stripe takes as a reason.
const REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];

/// A stored refund.
#[derive(Clone)]
pub(super) struct Refund {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub currency: String,
    pub charge: String,
    pub payment_intent: String,
    pub reason: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// The customer's bank did not take it.
    pub failed: bool,
}

impl Row for Refund {
    const OBJECT: &'static str = "refund";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Refund {
    pub(super) fn render(&self) -> Value {
        let mut refund = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": null,
            "charge": self.charge,
            "created": self.created,
            "currency": self.currency,
            "destination_details": { "card": { "type": "refund" }, "type": "card" },
            "metadata": self.metadata,
            "payment_intent": self.payment_intent,
            "reason": self.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": "succeeded",
            "transfer_reversal": null,
        });
        if self.failed {
            refund["status"] = json!("failed");
            refund["failure_reason"] = json!("lost_or_stolen_card");
        }
        refund
    }
}

/// `POST /v1/refunds`: without an amount, all that is left of the payment.
pub(super) fn create(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema {
        unsimulated: &[
            "refund_application_fee",
            "reverse_transfer",
            "origin",
            "customer",
            "currency",
            "instructions_email",
        ],
        ..Schema::of(&[
            "payment_intent",
            "charge",
            "amount",
            "reason",
            "metadata[*]",
        ])
    })?;
    let reason = params.one_of("reason", &REASONS)?.map(str::to_owned);
    let charge = paid_by(world, ask)?;
    let amount = positive(params.integer("amount")?)?;
    let metadata = without_empty(params.metadata("metadata")?);
    let refund = make(world, charge, amount, reason, metadata)?;
    Ok(refund.render())
}

/// Gives money of a charge back, all that is left without an amount, and tells of it.
fn make(
    world: &mut World,
    mut charge: Charge,
    amount: Option<i64>,
    reason: Option<String>,
    metadata: BTreeMap<String, String>,
) -> Result<Refund, Refusal> {
    let left = charge.left();
    if left <= 0 {
        let text = format!("Charge {} has already been refunded.", charge.id);
        return Err(Refusal::invalid(text)
            .code("charge_already_refunded")
            .by_state());
    }
    if disputes::bar_refunds(world, &charge.id) {
        let text = format!("Charge {} has been charged back.", charge.id);
        return Err(Refusal::invalid(text).code("charge_disputed").by_state());
    }
    let amount = amount.unwrap_or(left);
    if amount > left {
        let text = format!(
            "Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        );
        return Err(Refusal::invalid(text).param("amount").by_state());
    }
    let refund = Refund {
        id: world.ids.make("re_"),
        created: world.now(),
        amount,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        reason,
        metadata,
        failed: false,
    };
    world.refunds.put(refund.clone());
    let before = Subject::Charge(Box::new(charge.clone()));
    charge.refunded += amount;
    let whole = charge.left() <= 0;
    let id = charge.id.clone();
    let after = Subject::Charge(Box::new(charge));
    world.emit("charge.refunded", after, Some(before));
    let told = Subject::Refund(Box::new(refund.clone()));
    world.emit("refund.created", told, None);
    if whole {
        disputes::end_inquiries(world, &id);
    }
    Ok(refund)
}

/// Gives money back as somebody does in the Dashboard: nothing says whose it was.
pub(super) fn by_hand(
    world: &mut World,
    name: &str,
    amount: Option<i64>,
) -> Result<Refund, Refusal> {
    let charge = charges::named(world, name)?;
    let amount = positive(amount)?;
    let reason = Some("requested_by_customer".to_owned());
    make(world, charge, amount, reason, BTreeMap::new())
}

/// The customer's bank sends a refund back, which may be days later: the money is the shop's again.
pub(super) fn fail(world: &mut World, id: &str) -> Result<Refund, Refusal> {
    let refund = world.refunds.find_mut(id)?;
    if refund.failed {
        return Err(Refusal::invalid("This refund has failed already.").by_state());
    }
    refund.failed = true;
    let failed = refund.clone();
    for event in ["refund.updated", "refund.failed"] {
        world.emit(event, Subject::Refund(Box::new(failed.clone())), None);
    }
    Ok(failed)
}

fn positive(amount: Option<i64>) -> Result<Option<i64>, Refusal> {
    match amount {
        Some(..1) => Err(Refusal::invalid("Invalid positive integer")
            .code("parameter_invalid_integer")
            .param("amount")),
        amount => Ok(amount),
    }
}

/// What a request names by its payment or its charge.
fn paid_by(world: &World, ask: &Invocation) -> Result<Charge, Refusal> {
    let (payment, charge) = (ask.params.text("payment_intent"), ask.params.text("charge"));
    let (param, object, id) = match (payment, charge) {
        (Some(id), None) => ("payment_intent", "payment_intent", id),
        (None, Some(id)) => ("charge", "charge", id),
        (None, None) => {
            let text = "One of the following params should be provided for this request: \
                payment_intent or charge.";
            return Err(Refusal::invalid(text).code("parameter_missing"));
        }
        (Some(_), Some(_)) => {
            let text = "You may only specify one of these parameters: payment_intent, charge.";
            return Err(Refusal::invalid(text));
        }
    };
    let found = charges::find(world, |charge| {
        let own = match param {
            "charge" => &charge.id,
            _ => &charge.payment_intent,
        };
        own == id
    });
    found.ok_or_else(|| {
        let mut invoices = world.invoices.iter();
        if invoices.any(|invoice| invoice.payment_intent == id && invoice.total() > 0) {
            let text =
                format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
            return Refusal::invalid(text).by_state();
        }
        Refusal::no_such(object, id, param)
    })
}

/// What of a charge went back.
pub(super) fn sum_of(world: &World, charge: &str) -> i64 {
    let of_charge = world
        .refunds
        .iter()
        .filter(|refund| refund.charge == charge && !refund.failed);
    of_charge.map(|refund| refund.amount).sum()
}

/// `GET /v1/refunds/{id}`.
pub(super) fn get(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    ask.params.allow(&Schema::of(&[]))?;
    Ok(world.refunds.find(ask.id())?.render())
}

/// `GET /v1/refunds`.
pub(super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema::list(&["payment_intent", "charge"]))?;
    let cursor = Cursor::read(params)?;
    let (payment, charge) = (params.text("payment_intent"), params.text("charge"));
    let (rows, more) = world.refunds.page(&cursor, |row| {
        payment.is_none_or(|payment| row.payment_intent == payment)
            && charge.is_none_or(|charge| row.charge == charge)
    })?;
    let data = rows.into_iter().map(Refund::render).collect();
    Ok(list("/v1/refunds", data, more))
}
