//! Creates that fail by their node: since when they do on a node and for whom last, and how
//! often they did for an order. A node that failed a moment ago is sold, one that is down for
//! long is not; and one order that fails everywhere is not taken for nodes that are down.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE ptero_nodes ADD COLUMN failing_since_us bigint",
        "ALTER TABLE ptero_nodes ADD COLUMN failed_order_id {uuid}",
        "ALTER TABLE servers ADD COLUMN node_failures integer NOT NULL DEFAULT 0",
    ],
    [
        "ALTER TABLE servers DROP COLUMN node_failures",
        "ALTER TABLE ptero_nodes DROP COLUMN failed_order_id",
        "ALTER TABLE ptero_nodes DROP COLUMN failing_since_us",
    ]
);
