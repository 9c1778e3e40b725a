//! An invoice as JSON: links on top up to acacia, under `parent` and `pricing` since basil.

use serde_json::{Map, Value, json};

use super::super::table::list;
use super::super::version::ApiVersion;
use super::{Invoice, InvoiceLine, InvoiceStatus};

impl Invoice {
    fn subtotal(&self) -> i64 {
        self.lines.iter().map(InvoiceLine::amount).sum()
    }

    /// What it asks for, after discount and tax.
    pub(in super::super) fn total(&self) -> i64 {
        self.subtotal() - self.discount + self.tax
    }

    /// The invoice as a version of the API shows it.
    pub(in super::super) fn render(&self, version: &ApiVersion) -> Value {
        let total = self.total();
        // A sum below zero is a credit: nothing is due, and no money moves.
        let due = total.max(0);
        let paid = self.status == InvoiceStatus::Paid;
        let lines = self
            .lines
            .iter()
            .map(|line| self.render_line(line, version))
            .collect();
        let mut invoice = json!({
            "id": self.id,
            "object": "invoice",
            "account_country": "US",
            "account_name": "Sandbox",
            "amount_due": due,
            "amount_paid": if paid { due } else { 0 },
            "amount_remaining": if paid { 0 } else { due },
            "amount_shipping": 0,
            "application": null,
            "attempt_count": self.attempt_count,
            "attempted": self.attempt_count > 0,
            "auto_advance": !paid,
            "automatic_tax": { "enabled": self.tax != 0, "liability": null, "status": null },
            "billing_reason": self.billing_reason,
            "collection_method": "charge_automatically",
            "created": self.created,
            "currency": self.currency,
            "customer": self.customer,
            "customer_email": self.customer_email,
            "default_payment_method": null,
            "description": null,
            "discounts": [],
            "due_date": null,
            "ending_balance": 0,
            "hosted_invoice_url": format!("https://invoice.stripe.com/i/sandbox/{}", self.id),
            "last_finalization_error": null,
            "lines": list(&format!("/v1/invoices/{}/lines", self.id), lines, false),
            "livemode": self.livemode,
            "metadata": {},
            "next_payment_attempt": self.next_payment_attempt,
            "number": self.number,
            "period_end": self.created,
            "period_start": self.created,
            "starting_balance": 0,
            "status": self.status,
            "status_transitions": {
                "finalized_at": self.created,
                "marked_uncollectible_at": null,
                "paid_at": self.paid_at,
                "voided_at": self.voided_at,
            },
            "subtotal": self.subtotal(),
            "total": total,
            "total_excluding_tax": total - self.tax,
        });
        if let Value::Object(fields) = &mut invoice {
            if version.is_new() {
                self.add_new(fields);
            } else {
                self.add_old(fields, paid);
            }
        }
        invoice
    }

    fn add_new(&self, fields: &mut Map<String, Value>) {
        let parent = json!({
            "quote_details": null,
            "subscription_details": {
                "metadata": self.subscription_metadata,
                "subscription": self.subscription,
            },
            "type": "subscription_details",
        });
        fields.insert("parent".into(), parent);
        fields.insert("amount_overpaid".into(), json!(0));
        let taxes = if self.tax == 0 {
            json!([])
        } else {
            json!([{ "amount": self.tax, "tax_behavior": "exclusive", "type": "tax_rate_details" }])
        };
        fields.insert("total_taxes".into(), taxes);
    }

    fn add_old(&self, fields: &mut Map<String, Value>, paid: bool) {
        let link = |id: &String| {
            if self.total() <= 0 {
                Value::Null
            } else {
                json!(id)
            }
        };
        let charge = if paid {
            link(&self.charge)
        } else {
            Value::Null
        };
        fields.insert("subscription".into(), json!(self.subscription));
        let details = json!({ "metadata": self.subscription_metadata });
        fields.insert("subscription_details".into(), details);
        fields.insert("paid".into(), json!(paid));
        fields.insert("paid_out_of_band".into(), json!(false));
        fields.insert("payment_intent".into(), link(&self.payment_intent));
        fields.insert("charge".into(), charge);
        fields.insert(
            "tax".into(),
            if self.tax == 0 {
                Value::Null
            } else {
                json!(self.tax)
            },
        );
        fields.insert("discount".into(), Value::Null);
    }

    fn render_line(&self, line: &InvoiceLine, version: &ApiVersion) -> Value {
        let (start, end) = self.period;
        let mut rendered = json!({
            "id": line.id,
            "object": "line_item",
            "amount": line.amount(),
            "currency": self.currency,
            "description": line.description(),
            "discount_amounts": [],
            "discountable": true,
            "discounts": [],
            "invoice": self.id,
            "livemode": self.livemode,
            "metadata": line.metadata,
            "period": { "end": end, "start": start },
            "quantity": line.quantity,
            "subscription": self.subscription,
        });
        if let Value::Object(fields) = &mut rendered {
            if version.is_new() {
                fields.insert("parent".into(), self.line_parent(line));
                fields.insert("pricing".into(), pricing(line));
                fields.insert("taxes".into(), json!([]));
            } else {
                let kind = if line.item.is_some() && line.proration.is_none() {
                    "subscription"
                } else {
                    "invoiceitem"
                };
                fields.insert("type".into(), json!(kind));
                fields.insert("proration".into(), json!(line.proration.is_some()));
                fields.insert("price".into(), line.price.render());
                fields.insert("plan".into(), line.price.render_plan());
                if let Some(item) = &line.item {
                    fields.insert("subscription_item".into(), json!(item));
                }
            }
        }
        rendered
    }

    fn line_parent(&self, line: &InvoiceLine) -> Value {
        match &line.item {
            Some(item) => json!({
                "invoice_item_details": null,
                "subscription_item_details": {
                    "invoice_item": line.proration.map(|_| line.invoice_item()),
                    "proration": line.proration.is_some(),
                    "proration_details": { "credited_items": null },
                    "subscription": self.subscription,
                    "subscription_item": item,
                },
                "type": "subscription_item_details",
            }),
            None => json!({
                "invoice_item_details": {
                    "invoice_item": line.invoice_item(),
                    "proration": false,
                    "proration_details": { "credited_items": null },
                    "subscription": self.subscription,
                },
                "subscription_item_details": null,
                "type": "invoice_item_details",
            }),
        }
    }
}

impl InvoiceLine {
    fn amount(&self) -> i64 {
        let full = self.price.spec.unit_amount.saturating_mul(self.quantity);
        self.proration.unwrap_or(full)
    }

    fn description(&self) -> String {
        let what = format!("{} × {}", self.quantity, self.price.spec.product);
        match self.proration {
            None => what,
            Some(amount) if amount < 0 => format!("Unused time on {what}"),
            Some(_) => format!("Remaining time on {what}"),
        }
    }

    fn invoice_item(&self) -> String {
        self.id.replacen("il_", "ii_", 1)
    }
}

fn pricing(line: &InvoiceLine) -> Value {
    json!({
        "price_details": { "price": line.price.spec.id, "product": line.price.spec.product },
        "type": "price_details",
        "unit_amount_decimal": line.price.spec.unit_amount.to_string(),
    })
}
