//! What sweeps had done to servers within the last hour, over all replicas: too much of it holds
//! the sweep until somebody releases it. And which servers run on because of that.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE guard_acts (
            order_id {uuid} NOT NULL REFERENCES orders (id),
            act text NOT NULL CHECK (act IN ('suspend', 'delete')),
            sweep text,
            done_us bigint NOT NULL,
            PRIMARY KEY (order_id, act)
        )",
        "CREATE INDEX guard_acts_done ON guard_acts (done_us)",
        "ALTER TABLE servers ADD COLUMN suspend_held_us bigint",
        "CREATE INDEX servers_held ON servers (order_id) WHERE suspend_held_us IS NOT NULL",
    ],
    [
        "DROP INDEX servers_held",
        "ALTER TABLE servers DROP COLUMN suspend_held_us",
        "DROP TABLE guard_acts",
    ]
);
