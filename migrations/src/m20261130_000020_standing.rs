//! What stands still is counted whenever operators' machines ask: orders that wait or are parked
//! are found without a look at all others.

use crate::ddl::step;

step!(
    [
        "CREATE INDEX orders_standing ON orders (waiting_reason, error_reason)
        WHERE waiting_reason <> '' OR error_reason <> ''"
    ],
    ["DROP INDEX orders_standing"]
);
