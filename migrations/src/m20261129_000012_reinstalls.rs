//! Customers may have the install script of their server run again.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE servers ADD COLUMN reinstall_us bigint",
        "ALTER TABLE servers ADD COLUMN reinstall_sent_us bigint",
        // The panel's own time of its last change before it was told, Unix seconds.
        "ALTER TABLE servers ADD COLUMN reinstall_over bigint",
    ],
    [
        "ALTER TABLE servers DROP COLUMN reinstall_over",
        "ALTER TABLE servers DROP COLUMN reinstall_sent_us",
        "ALTER TABLE servers DROP COLUMN reinstall_us",
    ]
);
