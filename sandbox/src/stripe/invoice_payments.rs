//! Invoice payments: since basil the only way from an invoice to its payment, and back.

use serde_json::{Value, json};

use super::api::Invocation;
use super::errors::Refusal;
use super::expand;
use super::invoices::{Invoice, InvoiceStatus};
use super::schema::Schema;
use super::table::{Cursor, Row, list};
use super::world::World;

/// `GET /v1/invoice_payments`: of an invoice, of a payment, or all. A payment without an invoice
/// has none.
pub(super) fn list_all(world: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let params = &ask.params;
    params.allow(&Schema {
        unsimulated: &["payment[payment_record]"],
        ..Schema::list(&[
            "invoice",
            "status",
            "payment[type]",
            "payment[payment_intent]",
        ])
    })?;
    let cursor = Cursor::read(params)?.of("inpay_", "in_");
    let status = params.one_of("status", &["open", "paid", "canceled"])?;
    let kind = params.one_of("payment[type]", &["payment_intent", "payment_record"])?;
    let payment = params.text("payment[payment_intent]");
    if payment.is_some() && kind != Some("payment_intent") {
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
            // Nothing here is paid elsewhere.
            && kind != Some("payment_record")
            && invoice.is_none_or(|id| row.id == id)
            && payment.is_none_or(|id| row.payment_intent == id)
            && status.is_none_or(|word| status_of(row) == word)
    })?;
    let data = rows.into_iter().map(render).collect();
    expand::answer(world, ask, list("/v1/invoice_payments", data, more))
}

fn status_of(invoice: &Invoice) -> &'static str {
    match invoice.status {
        InvoiceStatus::Open => "open",
        InvoiceStatus::Paid => "paid",
        InvoiceStatus::Void => "canceled",
    }
}

fn render(invoice: &Invoice) -> Value {
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
        "status": status_of(invoice),
        "status_transitions": { "canceled_at": invoice.voided_at, "paid_at": invoice.paid_at },
    })
}
