//! Suspension of a server: what the panel was told, what was seen to be done, and what an
//! operator wants. Why billing suspends follows from what is known of the subscription.
//!
//! Until now nothing was done about a subscription that was over or not paid: such orders are
//! looked at again, once.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE servers ADD COLUMN suspend_sent_us bigint",
        "ALTER TABLE servers ADD COLUMN suspended_us bigint",
        "ALTER TABLE servers ADD COLUMN operator_suspended_us bigint",
        "UPDATE billing SET suspend_since_us = read_us WHERE suspend_since_us IS NULL
            AND (ended_at_us IS NOT NULL
                OR subscription_status IN ('canceled', 'incomplete_expired'))",
        "UPDATE orders SET due_us = 0, facts_seq = facts_seq + 1 WHERE id IN
            (SELECT order_id FROM billing WHERE confirmed_at_us IS NOT NULL
                AND subscription_status NOT IN ('active', 'trialing'))",
    ],
    [
        "ALTER TABLE servers DROP COLUMN operator_suspended_us",
        "ALTER TABLE servers DROP COLUMN suspended_us",
        "ALTER TABLE servers DROP COLUMN suspend_sent_us",
    ]
);
