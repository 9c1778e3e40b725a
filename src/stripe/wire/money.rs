//! Refunds, invoice payments, charges and disputes.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::stripe::events::subscription_of_invoice;

#[derive(Debug, Deserialize)]
pub(in super::super) struct Refund {
    id: String,
    amount: i64,
    currency: String,
    status: Option<String>,
}

impl From<Refund> for crate::stripe::Refund {
    fn from(refund: Refund) -> Self {
        Self {
            id: refund.id,
            amount: refund.amount,
            currency: refund.currency,
            status: refund.status.unwrap_or_default(),
        }
    }
}

/// What paid an invoice: a payment of Stripe's, or a record of one elsewhere.
#[derive(Debug, Deserialize)]
pub(in super::super) struct InvoicePayment {
    amount_paid: Option<i64>,
    payment: PaidBy,
}

#[derive(Debug, Deserialize)]
struct PaidBy {
    #[serde(default, deserialize_with = "super::reference")]
    payment_intent: Option<String>,
}

impl From<InvoicePayment> for Option<crate::stripe::Payment> {
    fn from(paid: InvoicePayment) -> Self {
        Some(crate::stripe::Payment {
            id: paid.payment.payment_intent?,
            amount: paid.amount_paid,
        })
    }
}

/// An invoice payment as the way from a payment to its invoice.
#[derive(Debug, Deserialize)]
pub(in super::super) struct PaymentOf {
    pub(in super::super) status: Option<String>,
    pub(in super::super) invoice: InvoiceRef,
}

/// An invoice, or only its id.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(in super::super) enum InvoiceRef {
    Id(String),
    Whole(InvoiceOf),
}

/// An invoice of which only the subscription is used.
#[derive(Debug, Deserialize)]
pub(in super::super) struct InvoiceOf {
    id: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl From<InvoiceOf> for crate::stripe::PaidInvoice {
    fn from(invoice: InvoiceOf) -> Self {
        Self {
            subscription: subscription_of_invoice(&invoice.rest),
            id: invoice.id,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct Charge {
    id: String,
    #[serde(default, deserialize_with = "super::reference")]
    payment_intent: Option<String>,
    amount: i64,
    amount_refunded: i64,
    currency: String,
    refunded: bool,
    disputed: bool,
    #[serde(default, deserialize_with = "super::reference")]
    invoice: Option<String>,
    livemode: bool,
}

impl From<Charge> for crate::stripe::Charge {
    fn from(charge: Charge) -> Self {
        Self {
            id: charge.id,
            payment: charge.payment_intent,
            amount: charge.amount,
            amount_refunded: charge.amount_refunded,
            currency: charge.currency,
            refunded: charge.refunded,
            disputed: charge.disputed,
            invoice: charge.invoice,
            livemode: charge.livemode,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct Dispute {
    id: String,
    status: String,
    #[serde(default, deserialize_with = "super::reference")]
    payment_intent: Option<String>,
    #[serde(deserialize_with = "super::required")]
    charge: String,
    amount: i64,
    currency: String,
    livemode: bool,
}

impl From<Dispute> for crate::stripe::Dispute {
    fn from(dispute: Dispute) -> Self {
        Self {
            id: dispute.id,
            status: dispute.status,
            payment: dispute.payment_intent,
            charge: dispute.charge,
            amount: dispute.amount,
            currency: dispute.currency,
            livemode: dispute.livemode,
        }
    }
}
