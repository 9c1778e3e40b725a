//! Servers of ended orders whose node is away: since when it failed, and when it last did. Since
//! when Stripe collects nothing for a subscription that goes on, and since when a request for a
//! customer has its key.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE servers ADD COLUMN node_failing_us bigint",
        "ALTER TABLE servers ADD COLUMN node_failed_us bigint",
        "ALTER TABLE servers ADD COLUMN force_sent_us bigint",
        "ALTER TABLE billing ADD COLUMN collection_paused_us bigint",
        "ALTER TABLE profiles ADD COLUMN stripe_customer_key_us bigint",
    ],
    [
        "ALTER TABLE profiles DROP COLUMN stripe_customer_key_us",
        "ALTER TABLE billing DROP COLUMN collection_paused_us",
        "ALTER TABLE servers DROP COLUMN force_sent_us",
        "ALTER TABLE servers DROP COLUMN node_failed_us",
        "ALTER TABLE servers DROP COLUMN node_failing_us",
    ]
);
