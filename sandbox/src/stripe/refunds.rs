//! Refunds: money of a paid invoice that goes back, whole or in part, and never twice.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::Invocation;
use super::errors::Refusal;
use super::events::Subject;
use super::form::without_empty;
use super::invoices::{Invoice, InvoiceStatus};
use super::schema::Schema;
use super::table::{Cursor, Row, list};
use super::version::ApiVersion;
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
    fn render(&self) -> Value {
        json!({
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
        })
    }
}

/// The charge of a paid invoice, as it is told when some of it goes back.
#[derive(Clone)]
pub(super) struct Charge {
    invoice: Invoice,
    refunded: i64,
}

impl Charge {
    /// `ch_...`.
    pub(super) fn charge_id(&self) -> &str {
        &self.invoice.charge
    }

    /// Up to acacia a charge names its invoice; since basil the way goes over its payment.
    pub(super) fn render(&self, version: &ApiVersion) -> Value {
        let (invoice, amount) = (&self.invoice, self.invoice.total());
        let mut charge = json!({
            "id": invoice.charge,
            "object": "charge",
            "amount": amount,
            "amount_captured": amount,
            "amount_refunded": self.refunded,
            "captured": true,
            "created": invoice.paid_at,
            "currency": invoice.currency,
            "customer": invoice.customer,
            "disputed": false,
            "livemode": invoice.livemode,
            "metadata": {},
            "paid": true,
            "payment_intent": invoice.payment_intent,
            "refunded": self.refunded >= amount,
            "status": "succeeded",
        });
        if !version.is_new() {
            charge["invoice"] = json!(invoice.id);
        }
        charge
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
    let invoice = paid_by(world, ask)?;
    let amount = params.integer("amount")?;
    if amount.is_some_and(|amount| amount < 1) {
        return Err(Refusal::invalid("Invalid positive integer")
            .code("parameter_invalid_integer")
            .param("amount"));
    }
    let refunded = refunded_of(world, &invoice.charge);
    let left = invoice.total() - refunded;
    if left <= 0 {
        let text = format!("Charge {} has already been refunded.", invoice.charge);
        return Err(Refusal::invalid(text)
            .code("charge_already_refunded")
            .by_state());
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
        currency: invoice.currency.clone(),
        charge: invoice.charge.clone(),
        payment_intent: invoice.payment_intent.clone(),
        reason,
        metadata: without_empty(params.metadata("metadata")?),
    };
    let rendered = refund.render();
    world.refunds.put(refund);
    let charge = Charge {
        invoice,
        refunded: refunded + amount,
    };
    world.emit("charge.refunded", Subject::Charge(Box::new(charge)), None);
    Ok(rendered)
}

/// The paid invoice that a request names by its payment or its charge.
fn paid_by(world: &World, ask: &Invocation) -> Result<Invoice, Refusal> {
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
    let invoice = world.invoices.iter().find(|invoice| {
        let own = if param == "charge" {
            &invoice.charge
        } else {
            &invoice.payment_intent
        };
        own == id && invoice.total() > 0
    });
    let invoice = invoice.ok_or_else(|| Refusal::no_such(object, id, param))?;
    if invoice.status != InvoiceStatus::Paid {
        let text =
            format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
        return Err(Refusal::invalid(text).by_state());
    }
    Ok(invoice.clone())
}

fn refunded_of(world: &World, charge: &str) -> i64 {
    let of_charge = world
        .refunds
        .iter()
        .filter(|refund| refund.charge == charge);
    of_charge.map(|refund| refund.amount).sum()
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

/// `GET /v1/invoice_payments`: since basil the only way from an invoice to its payment.
pub(super) fn list_payments(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema::list(&[
        "invoice",
        "status",
        "payment[type]",
        "payment[payment_intent]",
    ]))?;
    let cursor = Cursor::read(params)?;
    let status = params.one_of("status", &["open", "paid", "canceled"])?;
    let payment = params.text("payment[payment_intent]");
    if payment.is_some() && params.text("payment[type]") != Some("payment_intent") {
        return Err(Refusal::missing("payment[type]"));
    }
    let invoice = params.text("invoice");
    if let Some(id) = invoice
        && world.invoices.get(id).is_none()
    {
        return Err(Refusal::no_such(Invoice::OBJECT, id, "invoice"));
    }
    let (rows, more) = world.invoices.page(&cursor, |row| {
        row.total() > 0
            && invoice.is_none_or(|id| row.id == id)
            && payment.is_none_or(|id| row.payment_intent == id)
            && status.is_none_or(|word| payment_status(row) == word)
    })?;
    let data = rows.into_iter().map(render_payment).collect();
    Ok(list("/v1/invoice_payments", data, more))
}

fn payment_status(invoice: &Invoice) -> &'static str {
    match invoice.status {
        InvoiceStatus::Open => "open",
        InvoiceStatus::Paid => "paid",
        InvoiceStatus::Void => "canceled",
    }
}

fn render_payment(invoice: &Invoice) -> Value {
    let paid = invoice.status == InvoiceStatus::Paid;
    json!({
        "id": invoice.id.replacen("in_", "inpay_", 1),
        "object": "invoice_payment",
        "amount_paid": if paid { json!(invoice.total()) } else { Value::Null },
        "amount_requested": invoice.total(),
        "created": invoice.created,
        "currency": invoice.currency,
        "invoice": invoice.id,
        "is_default": true,
        "livemode": invoice.livemode,
        "payment": { "type": "payment_intent", "payment_intent": invoice.payment_intent },
        "status": payment_status(invoice),
        "status_transitions": { "canceled_at": invoice.voided_at, "paid_at": invoice.paid_at },
    })
}
