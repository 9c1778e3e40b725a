//! Payments that go back to their customers: what is due, and what Stripe made of it. Events that
//! could not be applied, which may be about such payments, are found again.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE refunds (
            id {bigserial},
            order_id {uuid} NOT NULL REFERENCES orders (id),
            session_id text NOT NULL,
            reason text NOT NULL CHECK (reason IN
                ('unfulfillable', 'paid_twice', 'paid_after_cancel')),
            decided_us bigint NOT NULL,
            done_us bigint,
            attempts integer NOT NULL CHECK (attempts >= 0),
            last_error text NOT NULL,
            refund_ids {json} NOT NULL,
            amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
            currency text NOT NULL,
            UNIQUE (order_id, session_id)
        )",
        "CREATE INDEX refunds_due ON refunds (order_id, id) WHERE done_us IS NULL",
        "ALTER TABLE billing ADD COLUMN refunds_due integer NOT NULL DEFAULT 0
            CHECK (refunds_due >= 0)",
        "ALTER TABLE billing ADD COLUMN refund_next_us bigint",
        "CREATE INDEX stripe_events_failed ON stripe_events (received_us) WHERE state = 'failed'",
    ],
    [
        "DROP INDEX stripe_events_failed",
        "ALTER TABLE billing DROP COLUMN refund_next_us",
        "ALTER TABLE billing DROP COLUMN refunds_due",
        "DROP TABLE refunds",
    ]
);
