//! Rows as they are stored: one file per table, no rules.

pub mod addon_prices;
pub mod addons;
pub mod affiliate_commissions;
pub mod affiliate_referrals;
pub mod affiliates;
pub mod allocations;
pub mod api_tokens;
pub mod billing;
pub mod disputes;
pub mod eggs;
pub mod external_accounts;
pub mod games;
pub mod holds;
pub mod order_changes;
pub mod order_events;
pub mod orders;
pub mod panel_budget;
pub mod plan_prices;
pub mod plans;
pub mod profiles;
pub mod ptero_nodes;
pub mod refunds;
pub mod request_keys;
pub mod servers;
pub mod stripe_events;
pub mod sweeps;
