//! Since when creates fail on a node again and again: one that is down for long is not
//! sold, one that failed a moment ago is.

use crate::ddl::step;

step!(
    ["ALTER TABLE ptero_nodes ADD COLUMN failing_since_us bigint"],
    ["ALTER TABLE ptero_nodes DROP COLUMN failing_since_us"]
);
