//! Servers on the panel, what is held for them, and the mirror of the panel's ports.

use crate::ddl::step;

step!(
    [
        "CREATE TABLE servers (
            order_id {uuid} PRIMARY KEY REFERENCES orders (id),
            attempt integer NOT NULL CHECK (attempt >= 0),
            node_id integer REFERENCES ptero_nodes (id),
            create_request {json},
            create_sent_us bigint,
            create_slot_until_us bigint,
            settle_looks integer NOT NULL CHECK (settle_looks >= 0),
            settle_us bigint,
            pterodactyl_server_id bigint,
            identifier text,
            uuid text,
            owner_id bigint,
            egg_id bigint,
            reinstalls integer NOT NULL CHECK (reinstalls >= 0),
            install_since_us bigint,
            first_running_us bigint,
            observed_status text,
            observed_name text,
            observed_memory_mb bigint,
            observed_disk_mb bigint,
            observed_cpu bigint,
            observed_us bigint,
            panel_write_us bigint,
            deleted_us bigint,
            CHECK (create_sent_us IS NULL OR node_id IS NOT NULL),
            CHECK (deleted_us IS NULL OR pterodactyl_server_id IS NOT NULL)
        )",
        "CREATE UNIQUE INDEX servers_panel_id ON servers (pterodactyl_server_id)
            WHERE deleted_us IS NULL",
        "CREATE INDEX servers_creating ON servers (create_slot_until_us)
            WHERE create_slot_until_us IS NOT NULL",
        "CREATE TABLE holds (
            order_id {uuid} PRIMARY KEY REFERENCES orders (id),
            node_id integer NOT NULL REFERENCES ptero_nodes (id),
            ram_gb integer NOT NULL CHECK (ram_gb > 0),
            disk_gb integer NOT NULL CHECK (disk_gb > 0),
            vcores integer NOT NULL CHECK (vcores > 0),
            why text NOT NULL CHECK (why IN ('checkout', 'server')),
            created_us bigint NOT NULL
        )",
        "CREATE INDEX holds_node ON holds (node_id)",
        "CREATE TABLE allocations (
            id {serial},
            pterodactyl_allocation_id bigint NOT NULL UNIQUE,
            node_id integer NOT NULL REFERENCES ptero_nodes (id),
            ip text NOT NULL,
            alias text NOT NULL,
            port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
            order_id {uuid} REFERENCES orders (id),
            slot integer,
            state text NOT NULL
                CHECK (state IN ('free', 'held', 'assigned', 'foreign', 'gone')),
            seen_us bigint NOT NULL,
            CHECK ((state IN ('held', 'assigned')) = (order_id IS NOT NULL)),
            CHECK ((order_id IS NULL) = (slot IS NULL))
        )",
        "CREATE UNIQUE INDEX allocations_slot ON allocations (order_id, slot)
            WHERE order_id IS NOT NULL",
        "CREATE INDEX allocations_free ON allocations (node_id, ip, port) WHERE state = 'free'",
        "CREATE INDEX allocations_node ON allocations (node_id, id)",
    ],
    [
        "DROP TABLE allocations",
        "DROP TABLE holds",
        "DROP TABLE servers"
    ]
);
