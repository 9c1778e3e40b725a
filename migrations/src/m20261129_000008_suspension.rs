//! Suspension of a server: what the panel was told, what was seen to be done, and what an
//! operator wants. Why billing suspends follows from what is known of the subscription.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE servers ADD COLUMN suspend_sent_us bigint",
        "ALTER TABLE servers ADD COLUMN suspended_us bigint",
        "ALTER TABLE servers ADD COLUMN operator_suspended_us bigint",
    ],
    [
        "ALTER TABLE servers DROP COLUMN operator_suspended_us",
        "ALTER TABLE servers DROP COLUMN suspended_us",
        "ALTER TABLE servers DROP COLUMN suspend_sent_us",
    ]
);
