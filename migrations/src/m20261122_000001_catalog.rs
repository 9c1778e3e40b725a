//! What the shop sells: games, cached eggs, plans, add-ons and their prices.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE games (
            id text PRIMARY KEY,
            display_name text NOT NULL,
            ptero_nest_id bigint NOT NULL CHECK (ptero_nest_id > 0),
            ptero_egg_id bigint NOT NULL CHECK (ptero_egg_id > 0),
            ports integer NOT NULL CHECK (ports BETWEEN 1 AND 16),
            port_variables {json} NOT NULL,
            environment {json} NOT NULL,
            secret_variables {json} NOT NULL,
            min_ram_gb integer NOT NULL CHECK (min_ram_gb >= 0),
            min_ssd_gb integer NOT NULL CHECK (min_ssd_gb >= 0),
            swap_mb integer NOT NULL CHECK (swap_mb >= 0),
            oom_disabled {bool} NOT NULL,
            is_active {bool} NOT NULL,
            etag text NOT NULL,
            created_at {time} NOT NULL,
            updated_at {time} NOT NULL
        )",
        "CREATE TABLE eggs (
            ptero_egg_id bigint PRIMARY KEY,
            ptero_nest_id bigint NOT NULL,
            found {bool} NOT NULL,
            docker_image text NOT NULL,
            startup text NOT NULL,
            variables {json} NOT NULL,
            read_us bigint NOT NULL
        )",
        "CREATE TABLE plans (
            id text PRIMARY KEY,
            item_type text NOT NULL CHECK (item_type IN ('game', 'vps')),
            game text REFERENCES games (id),
            ram_gb integer NOT NULL CHECK (ram_gb > 0),
            vcores integer NOT NULL CHECK (vcores > 0),
            ssd_gb integer NOT NULL CHECK (ssd_gb > 0),
            databases integer NOT NULL CHECK (databases >= 0),
            backups integer NOT NULL CHECK (backups >= 0),
            allocations integer NOT NULL CHECK (allocations >= 0),
            stripe_price_id text,
            display_name text NOT NULL,
            description text NOT NULL,
            is_active {bool} NOT NULL,
            etag text NOT NULL,
            created_at {time} NOT NULL,
            updated_at {time} NOT NULL,
            CHECK (item_type <> 'game' OR game IS NOT NULL),
            CHECK (NOT is_active OR stripe_price_id IS NOT NULL)
        )",
        "CREATE UNIQUE INDEX plans_price ON plans (stripe_price_id)",
        "CREATE TABLE plan_prices (
            plan_id text NOT NULL REFERENCES plans (id),
            term text NOT NULL CHECK (term IN ('monthly', 'quarterly', 'semiannual', 'yearly')),
            stripe_price_id text NOT NULL UNIQUE,
            unit_amount_minor bigint NOT NULL CHECK (unit_amount_minor >= 0),
            currency text NOT NULL CHECK (length(currency) = 3),
            PRIMARY KEY (plan_id, term)
        )",
        "CREATE TABLE addons (
            id text PRIMARY KEY,
            item_type text NOT NULL CHECK (item_type IN ('game', 'vps')),
            display_name text NOT NULL,
            description text NOT NULL,
            ram_gb integer NOT NULL CHECK (ram_gb >= 0),
            vcores integer NOT NULL CHECK (vcores >= 0),
            ssd_gb integer NOT NULL CHECK (ssd_gb >= 0),
            databases integer NOT NULL CHECK (databases >= 0),
            backups integer NOT NULL CHECK (backups >= 0),
            allocations integer NOT NULL CHECK (allocations >= 0),
            manual {bool} NOT NULL,
            stripe_price_id text,
            is_active {bool} NOT NULL,
            etag text NOT NULL,
            created_at {time} NOT NULL,
            updated_at {time} NOT NULL,
            CHECK (manual OR ram_gb + vcores + ssd_gb + databases + backups + allocations > 0),
            CHECK (NOT is_active OR stripe_price_id IS NOT NULL)
        )",
        "CREATE UNIQUE INDEX addons_price ON addons (stripe_price_id)",
        "CREATE TABLE addon_prices (
            addon_id text NOT NULL REFERENCES addons (id),
            term text NOT NULL CHECK (term IN ('monthly', 'quarterly', 'semiannual', 'yearly')),
            stripe_price_id text NOT NULL UNIQUE,
            unit_amount_minor bigint NOT NULL CHECK (unit_amount_minor >= 0),
            currency text NOT NULL CHECK (length(currency) = 3),
            PRIMARY KEY (addon_id, term)
        )",
    ],
    [
        "DROP TABLE addon_prices",
        "DROP TABLE addons",
        "DROP TABLE plan_prices",
        "DROP TABLE plans",
        "DROP TABLE eggs",
        "DROP TABLE games",
    ]
);
