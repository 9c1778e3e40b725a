//! How lenient the shop is with a plan's customers, where the plan says other than the shop; and
//! with an order, as it was sold. Orders of before have nothing of it and follow the shop.

use crate::ddl::step;

step!(
    [
        "ALTER TABLE plans ADD COLUMN grace_days integer
            CHECK (grace_days BETWEEN 0 AND 365)",
        "ALTER TABLE plans ADD COLUMN retention_days integer
            CHECK (retention_days BETWEEN 0 AND 3650)",
        "ALTER TABLE plans ADD COLUMN disputes text CHECK (disputes IN ('suspend', 'ignore'))",
        "ALTER TABLE orders ADD COLUMN lenience {json}",
        "ALTER TABLE order_changes ADD COLUMN lenience {json}",
    ],
    [
        "ALTER TABLE order_changes DROP COLUMN lenience",
        "ALTER TABLE orders DROP COLUMN lenience",
        "ALTER TABLE plans DROP COLUMN disputes",
        "ALTER TABLE plans DROP COLUMN retention_days",
        "ALTER TABLE plans DROP COLUMN grace_days",
    ]
);
