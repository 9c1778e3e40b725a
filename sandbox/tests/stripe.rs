//! The stand-in for Stripe, looked at from outside: through HTTP, as the shop and a buyer do.

#[cfg(test)]
#[path = "stripe/billing.rs"]
mod billing;
#[cfg(test)]
#[path = "stripe/buying.rs"]
mod buying;
#[cfg(test)]
#[path = "stripe/disputes.rs"]
mod disputes;
#[cfg(test)]
#[path = "stripe/events.rs"]
mod events;
#[cfg(test)]
#[path = "stripe/faults.rs"]
mod faults;
#[cfg(test)]
#[path = "stripe/half.rs"]
mod half;
#[cfg(test)]
#[path = "stripe/idempotency.rs"]
mod idempotency;
#[cfg(test)]
#[path = "stripe/independent_signer.rs"]
mod independent_signer;
#[cfg(test)]
#[path = "stripe/refunds.rs"]
mod refunds;
#[cfg(test)]
#[path = "stripe/support.rs"]
mod support;
#[cfg(test)]
#[path = "stripe/switches.rs"]
mod switches;
#[cfg(test)]
#[path = "stripe/unkind.rs"]
mod unkind;
#[cfg(test)]
#[path = "stripe/upgrade_refusals.rs"]
mod upgrade_refusals;
#[cfg(test)]
#[path = "stripe/upgrades.rs"]
mod upgrades;
#[cfg(test)]
#[path = "stripe/validation.rs"]
mod validation;
#[cfg(test)]
#[path = "stripe/webhooks.rs"]
mod webhooks;
