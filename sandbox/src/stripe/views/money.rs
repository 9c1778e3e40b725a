//! Flat views of payments, refunds and disputes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::charges::{self, Charge};
use super::super::disputes::{Dispute, DisputeStatus};
use super::super::refunds::Refund;
use super::super::world::World;

/// A payment and its charge at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PaymentView {
    /// `pi_...`.
    pub payment_intent: String,
    /// `ch_...`.
    pub charge: String,
    /// `in_...`, if an invoice asked for it.
    pub invoice: Option<String>,
    /// The subscription whose invoice was paid.
    pub subscription: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// What went back, minor units.
    pub amount_refunded: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Whether a bank ever disputed it or asked about it.
    pub disputed: bool,
}

impl PaymentView {
    pub(in super::super) fn new(charge: &Charge, world: &World) -> Self {
        Self {
            payment_intent: charge.payment_intent.clone(),
            charge: charge.id.clone(),
            invoice: charge.invoice.clone(),
            subscription: charges::subscription_of(world, &charge.payment_intent),
            amount: charge.amount,
            amount_refunded: charge.refunded,
            currency: charge.currency.clone(),
            disputed: charge.disputed,
        }
    }
}

/// A refund at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefundView {
    /// `re_...`.
    pub id: String,
    /// What goes back, minor units.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// `pi_...`.
    pub payment_intent: String,
    /// The subscription whose invoice was paid.
    pub subscription: Option<String>,
    /// The caller's labels.
    pub metadata: BTreeMap<String, String>,
}

impl RefundView {
    pub(in super::super) fn new(refund: &Refund, world: &World) -> Self {
        Self {
            id: refund.id.clone(),
            amount: refund.amount,
            currency: refund.currency.clone(),
            payment_intent: refund.payment_intent.clone(),
            subscription: charges::subscription_of(world, &refund.payment_intent),
            metadata: refund.metadata.clone(),
        }
    }
}

/// A dispute at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DisputeView {
    /// `du_...`.
    pub id: String,
    /// Where it stands.
    pub status: DisputeStatus,
    /// What the bank says.
    pub reason: String,
    /// What it is about, minor units.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// `ch_...`.
    pub charge: String,
    /// `pi_...`.
    pub payment_intent: String,
    /// The subscription whose invoice was paid.
    pub subscription: Option<String>,
}

impl DisputeView {
    pub(in super::super) fn new(dispute: &Dispute, world: &World) -> Self {
        Self {
            id: dispute.id.clone(),
            status: dispute.status,
            reason: dispute.reason.clone(),
            amount: dispute.amount,
            currency: dispute.currency.clone(),
            charge: dispute.charge.clone(),
            payment_intent: dispute.payment_intent.clone(),
            subscription: charges::subscription_of(world, &dispute.payment_intent),
        }
    }
}
