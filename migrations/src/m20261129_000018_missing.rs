//! Since when a server that ought to be on the panel was not found there.

use crate::ddl::step;

step!(
    ["ALTER TABLE servers ADD COLUMN missing_us bigint"],
    ["ALTER TABLE servers DROP COLUMN missing_us"]
);
