//! Changes of an order's plan on their way: what is wanted, what Stripe was told of it, and what
//! the server still has to follow. And the end that we planned for what was not delivered.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE order_changes (
            order_id {uuid} PRIMARY KEY REFERENCES orders (id),
            plan_id text NOT NULL,
            addons {json} NOT NULL,
            manual_addons {json} NOT NULL,
            spec {json} NOT NULL,
            price_minor bigint NOT NULL CHECK (price_minor >= 0),
            prices {json} NOT NULL,
            asked_us bigint NOT NULL,
            request {json},
            sent_us bigint,
            answered {bool} NOT NULL DEFAULT false,
            look_us bigint,
            paid_us bigint
        )",
        "ALTER TABLE billing ADD COLUMN prices {json}",
        "ALTER TABLE billing ADD COLUMN ends_undelivered_us bigint",
        "ALTER TABLE servers ADD COLUMN respec_us bigint",
        "ALTER TABLE servers ADD COLUMN rename_us bigint",
    ],
    [
        "ALTER TABLE servers DROP COLUMN rename_us",
        "ALTER TABLE servers DROP COLUMN respec_us",
        "ALTER TABLE billing DROP COLUMN ends_undelivered_us",
        "ALTER TABLE billing DROP COLUMN prices",
        "DROP TABLE order_changes",
    ]
);
