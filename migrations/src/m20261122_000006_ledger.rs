//! What happened: Stripe's events as they came, and every change of an order.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE stripe_events (
            id text PRIMARY KEY,
            type text NOT NULL,
            api_version text,
            livemode {bool} NOT NULL,
            created_us bigint NOT NULL,
            received_us bigint NOT NULL,
            payload {bytes} NOT NULL,
            source text NOT NULL CHECK (source IN ('webhook', 'sweep', 'replay')),
            state text NOT NULL CHECK (state IN ('received', 'applied', 'ignored', 'failed')),
            attempts integer NOT NULL CHECK (attempts >= 0),
            last_error text NOT NULL,
            order_id {uuid} REFERENCES orders (id)
        )",
        "CREATE INDEX stripe_events_received ON stripe_events (received_us DESC, id DESC)",
        "CREATE INDEX stripe_events_order ON stripe_events (order_id, id)
            WHERE order_id IS NOT NULL",
        "CREATE TABLE order_events (
            id {bigserial},
            sequence bigint UNIQUE,
            order_id {uuid} NOT NULL REFERENCES orders (id),
            what text NOT NULL,
            from_value text NOT NULL,
            to_value text NOT NULL,
            actor text NOT NULL,
            cause text NOT NULL,
            trace_id text NOT NULL,
            created_us bigint NOT NULL
        )",
        "CREATE INDEX order_events_order ON order_events (order_id, id)",
        "CREATE INDEX order_events_unsequenced ON order_events (id) WHERE sequence IS NULL",
    ],
    ["DROP TABLE order_events", "DROP TABLE stripe_events"]
);
