//! What banks dispute of an order's payments. Events about money name no order: they are kept as
//! received until Stripe was asked whose they are.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE disputes (
            dispute_id text PRIMARY KEY,
            order_id {uuid} NOT NULL REFERENCES orders (id),
            invoice_id text NOT NULL,
            status text NOT NULL,
            amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
            currency text NOT NULL,
            noted_us bigint NOT NULL,
            read_us bigint
        )",
        "CREATE INDEX disputes_order ON disputes (order_id)",
        "ALTER TABLE billing ADD COLUMN disputes_open integer NOT NULL DEFAULT 0
            CHECK (disputes_open >= 0)",
        "ALTER TABLE billing ADD COLUMN disputed_since_us bigint",
        "CREATE INDEX stripe_events_asked ON stripe_events (received_us) WHERE state = 'received'",
    ],
    [
        "DROP INDEX stripe_events_asked",
        "ALTER TABLE billing DROP COLUMN disputed_since_us",
        "ALTER TABLE billing DROP COLUMN disputes_open",
        "DROP TABLE disputes",
    ]
);
