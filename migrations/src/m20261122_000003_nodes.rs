//! The machines that servers are placed on, and what is held of them.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE ptero_nodes (
            id {serial},
            pterodactyl_node_id bigint NOT NULL UNIQUE CHECK (pterodactyl_node_id > 0),
            name text NOT NULL,
            region text NOT NULL,
            fqdn text NOT NULL,
            max_ram_gb integer NOT NULL CHECK (max_ram_gb > 0),
            max_disk_gb integer NOT NULL CHECK (max_disk_gb > 0),
            max_vcores integer CHECK (max_vcores > 0),
            reserved_headroom_gb integer NOT NULL CHECK (reserved_headroom_gb >= 0),
            held_ram_gb integer NOT NULL CHECK (held_ram_gb >= 0),
            held_disk_gb integer NOT NULL CHECK (held_disk_gb >= 0),
            held_vcores integer NOT NULL CHECK (held_vcores >= 0),
            enabled {bool} NOT NULL,
            maintenance {bool} NOT NULL,
            panel_maintenance {bool} NOT NULL,
            weight integer NOT NULL CHECK (weight BETWEEN 1 AND 1000),
            avoided_until_us bigint,
            panel_uuid text,
            panel_changed {bool} NOT NULL,
            ports_read_us bigint,
            last_seen_at {time},
            created_at {time} NOT NULL,
            updated_at {time} NOT NULL
        )",
        "CREATE INDEX ptero_nodes_region ON ptero_nodes (region)",
        "CREATE TABLE panel_budget (
            id integer PRIMARY KEY CHECK (id = 1),
            window_until_us bigint NOT NULL,
            used integer NOT NULL CHECK (used >= 0),
            window_limit integer NOT NULL CHECK (window_limit > 0),
            blocked_until_us bigint NOT NULL
        )",
        "INSERT INTO panel_budget (id, window_until_us, used, window_limit, blocked_until_us)
            VALUES (1, 0, 0, 240, 0)",
        "CREATE TABLE sweeps (
            name text PRIMARY KEY,
            cursor text NOT NULL,
            lease_owner text,
            lease_until_us bigint NOT NULL,
            last_run_us bigint,
            duration_ms bigint NOT NULL,
            finds integer NOT NULL,
            guard text NOT NULL
        )",
    ],
    [
        "DROP TABLE sweeps",
        "DROP TABLE panel_budget",
        "DROP TABLE ptero_nodes"
    ]
);
