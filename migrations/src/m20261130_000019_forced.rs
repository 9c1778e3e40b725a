//! Since when a server of an ended order withstands its deletion, and since when Stripe collects
//! nothing for a subscription that goes on.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE servers ADD COLUMN delete_failing_us bigint",
        "ALTER TABLE billing ADD COLUMN collection_paused_us bigint",
    ],
    [
        "ALTER TABLE billing DROP COLUMN collection_paused_us",
        "ALTER TABLE servers DROP COLUMN delete_failing_us",
    ]
);
