//! How people want an order to end: a customer its subscription, now, with its period or not
//! after all; an operator the server, at once.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE billing ADD COLUMN wish text NOT NULL DEFAULT ''
            CHECK (wish IN ('', 'now', 'with_its_period', 'never'))",
        "ALTER TABLE billing ADD COLUMN wish_us bigint",
        "ALTER TABLE servers ADD COLUMN terminated_us bigint",
    ],
    [
        "ALTER TABLE servers DROP COLUMN terminated_us",
        "ALTER TABLE billing DROP COLUMN wish_us",
        "ALTER TABLE billing DROP COLUMN wish",
    ]
);
