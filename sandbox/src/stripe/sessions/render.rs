//! A session and its lines as JSON, by version.

use serde_json::{Value, json};

use super::super::version::ApiVersion;
use super::{Session, SessionLine, SessionStatus, percent_of};

/// Fields of features that are not played, but are always there.
const NEVER_SET: [&str; 15] = [
    "after_expiration",
    "client_secret",
    "consent",
    "consent_collection",
    "currency_conversion",
    "invoice_creation",
    "payment_intent",
    "payment_link",
    "payment_method_configuration_details",
    "recovered_from",
    "saved_payment_method_options",
    "setup_intent",
    "shipping_address_collection",
    "shipping_cost",
    "submit_type",
];

impl Session {
    /// The session as a version of the API shows it; lines only come by `expand`.
    pub(in super::super) fn render(&self, version: &ApiVersion) -> Value {
        let open = self.status == SessionStatus::Open;
        let tax_status = match (self.automatic_tax, open) {
            (false, _) => Value::Null,
            (true, true) => json!("requires_location_inputs"),
            (true, false) => json!("complete"),
        };
        let mut session = json!({
            "id": self.id,
            "object": "checkout.session",
            "allow_promotion_codes": self.allow_promotion_codes,
            "amount_subtotal": self.subtotal(),
            "amount_total": self.total(),
            "automatic_tax": {
                "enabled": self.automatic_tax, "liability": null, "status": tax_status,
            },
            "billing_address_collection": self.billing_address_collection,
            "cancel_url": self.cancel_url,
            "client_reference_id": self.client_reference_id,
            "created": self.created,
            "currency": self.currency,
            "custom_fields": [],
            "custom_text": {
                "after_submit": null, "shipping_address": null, "submit": null,
                "terms_of_service_acceptance": null,
            },
            "customer": self.customer,
            "customer_creation": if self.customer_email.is_some() { json!("always") } else { Value::Null },
            "customer_details": self.buyer(open),
            "customer_email": self.customer_email,
            "expires_at": self.expires_at,
            "invoice": self.invoice,
            "livemode": self.livemode,
            "locale": self.locale,
            "metadata": self.metadata,
            "mode": "subscription",
            "payment_method_collection": self.payment_method_collection,
            "payment_method_options": {},
            "payment_method_types": self.payment_method_types,
            "payment_status": self.payment_status,
            "phone_number_collection": { "enabled": false },
            "shipping_options": [],
            "status": self.status,
            "subscription": self.subscription,
            "success_url": self.success_url,
            "total_details": {
                "amount_discount": self.discount(), "amount_shipping": 0, "amount_tax": self.tax,
            },
            "ui_mode": version.hosted(),
            "url": if open { json!(self.url) } else { Value::Null },
        });
        if let Value::Object(fields) = &mut session {
            fields.extend(NEVER_SET.map(|name| (name.to_owned(), Value::Null)));
            if version.is_new() {
                fields.insert("collected_information".into(), Value::Null);
                fields.insert("wallet_options".into(), Value::Null);
            } else {
                fields.insert("shipping_details".into(), Value::Null);
            }
        }
        session
    }

    fn buyer(&self, open: bool) -> Value {
        let Some(email) = &self.buyer_email else {
            return Value::Null;
        };
        json!({
            "address": null,
            "email": email,
            "name": null,
            "phone": null,
            "tax_exempt": if open { Value::Null } else { json!("none") },
            "tax_ids": if open { Value::Null } else { json!([]) },
        })
    }

    /// One line with its share of discount and tax.
    pub(in super::super) fn render_line(&self, line: &SessionLine) -> Value {
        let subtotal = line.amount();
        let percent = self
            .promotion
            .as_ref()
            .map_or(0, |promotion| promotion.percent_off);
        let discount = percent_of(subtotal, percent * 100);
        let whole = self.subtotal() - self.discount();
        let tax = if whole == 0 {
            0
        } else {
            self.tax * (subtotal - discount) / whole
        };
        json!({
            "id": line.id,
            "object": "item",
            "amount_discount": discount,
            "amount_subtotal": subtotal,
            "amount_tax": tax,
            "amount_total": subtotal - discount + tax,
            "currency": self.currency,
            "description": line.price.nickname.as_ref().unwrap_or(&line.price.spec.product),
            "metadata": line.metadata,
            "price": line.price.render(),
            "quantity": line.quantity,
        })
    }

    /// The list that `expand[]=line_items` puts in: the first ten lines.
    pub(in super::super) fn render_lines(&self) -> Value {
        let data: Vec<Value> = self
            .lines
            .iter()
            .take(10)
            .map(|l| self.render_line(l))
            .collect();
        let url = format!("/v1/checkout/sessions/{}/line_items", self.id);
        super::super::table::list(&url, data, self.lines.len() > 10)
    }
}
