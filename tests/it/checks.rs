//! What the database itself refuses, whatever the code above it does.

use sea_orm::SqlErr;

use crate::support::{
    db::{Engine, TestDb},
    shop::{BIG, NEED, PLAN, Shop},
    sql,
};

both_engines!(
    words_outside_their_sets_are_refused,
    impossible_rows_are_refused,
    doubles_are_refused,
    strays_are_refused,
    possible_rows_are_taken,
);

/// A store with one node, one held port and two orders, the first of which holds room.
struct Broken {
    test: TestDb,
    first: String,
    second: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Check,
    Unique,
    ForeignKey,
}

impl Broken {
    async fn new(engine: Engine) -> Self {
        let test = TestDb::new(engine).await;
        let shop = Shop::open(&test.db).await;
        let node = shop.node(BIG).await;
        let (first, second) = (shop.order().await, shop.order().await);
        let held = test
            .db
            .tx(|tx| async move { spawnpoint::db::holds::take(&tx, first, node, NEED, 1).await });
        assert!(held.await.unwrap());
        let (first, second) = (sql::id(&test.db, first.0), sql::id(&test.db, second.0));
        Self {
            test,
            first,
            second,
        }
    }

    /// Runs the statement and tells how it is refused; `None` where it is taken.
    /// `{1}` and `{2}` are the orders' ids.
    async fn run(&self, statement: &str) -> Option<Refusal> {
        let statement = statement
            .replace("{1}", &self.first)
            .replace("{2}", &self.second);
        let error = sql::run(&self.test.db, &statement).await.err()?;
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Some(Refusal::Unique),
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => Some(Refusal::ForeignKey),
            _ => {
                let text = error.to_string();
                let check = text.contains("check constraint") || text.contains("CHECK constraint");
                assert!(check, "{statement}: {text}");
                Some(Refusal::Check)
            }
        }
    }

    async fn refuse(&self, refusal: Refusal, statements: &[&str]) {
        for statement in statements {
            assert_eq!(self.run(statement).await, Some(refusal), "{statement}");
        }
    }
}

async fn words_outside_their_sets_are_refused(engine: Engine) {
    let broken = Broken::new(engine).await;
    for (column, word) in [
        ("orders.status", "paused"),
        ("orders.status", ""),
        ("orders.status", "PENDING"),
        ("orders.item_type", "domain"),
        ("orders.term", "weekly"),
        ("orders.server_state", "stopped"),
        ("orders.waiting_reason", "SOMETHING"),
        ("orders.error_reason", "SOMETHING"),
        ("plans.item_type", "domain"),
        ("plans.disputes", ""),
        ("plans.disputes", "end"),
        ("plan_prices.term", "weekly"),
        ("allocations.state", "taken"),
        ("holds.why", "greed"),
    ] {
        let (table, column) = column.split_once('.').unwrap();
        let statement = format!("UPDATE {table} SET {column} = '{word}'");
        assert_eq!(
            broken.run(&statement).await,
            Some(Refusal::Check),
            "{statement}"
        );
    }
    broken
        .refuse(
            Refusal::Check,
            &[
                "INSERT INTO api_tokens (id, name, sha256, role, created_us)
                    VALUES ({1}, 'x', 'short', 'operator', 1)",
                "INSERT INTO api_tokens (id, name, sha256, role, created_us)
                    SELECT {1}, 'x', cart_sha256, 'root', 1 FROM orders WHERE id = {1}",
                "UPDATE panel_budget SET id = 2",
            ],
        )
        .await;
}

async fn impossible_rows_are_refused(engine: Engine) {
    let broken = Broken::new(engine).await;
    let statements = [
        // A lease has an owner and an end, or neither.
        "UPDATE orders SET lease_owner = 'w'",
        "UPDATE orders SET lease_until_us = 5",
        "UPDATE orders SET fence = -1",
        "UPDATE orders SET facts_seq = -1",
        "UPDATE orders SET attempts = -1",
        "UPDATE orders SET version = 0",
        "UPDATE orders SET price_minor = -1",
        "UPDATE orders SET currency = 'dollar'",
        "UPDATE orders SET cart_sha256 = ''",
        // A port is held or assigned exactly if an order has it, in a place of that order.
        "UPDATE allocations SET state = 'free' WHERE state = 'held'",
        "UPDATE allocations SET state = 'foreign' WHERE state = 'held'",
        "UPDATE allocations SET state = 'held' WHERE state = 'free'",
        "UPDATE allocations SET state = 'assigned' WHERE state = 'free'",
        "UPDATE allocations SET order_id = NULL WHERE state = 'held'",
        "UPDATE allocations SET slot = NULL WHERE state = 'held'",
        "UPDATE allocations SET slot = 0 WHERE state = 'free'",
        "UPDATE allocations SET port = 0",
        "UPDATE allocations SET port = 65536",
        // Nobody holds less than nothing.
        "UPDATE ptero_nodes SET held_ram_gb = -1",
        "UPDATE ptero_nodes SET held_disk_gb = -1",
        "UPDATE ptero_nodes SET held_vcores = -1",
        "UPDATE ptero_nodes SET held_ram_gb = held_ram_gb - 3",
        "UPDATE ptero_nodes SET max_ram_gb = 0",
        "UPDATE ptero_nodes SET weight = 0",
        "UPDATE holds SET ram_gb = 0",
        "UPDATE holds SET disk_gb = -1",
        "UPDATE holds SET vcores = 0",
        // What is for sale has a price; a game's plan has a game.
        "UPDATE plans SET stripe_price_id = NULL",
        "UPDATE plans SET game = NULL",
        "UPDATE plans SET ram_gb = 0",
        "UPDATE plans SET grace_days = -1",
        "UPDATE plans SET grace_days = 366",
        "UPDATE plans SET retention_days = -1",
        "UPDATE plans SET retention_days = 3651",
        "UPDATE games SET ports = 0",
        "UPDATE plan_prices SET unit_amount_minor = -1",
        // A create goes to a node; only what was made is deleted.
        "UPDATE servers SET create_sent_us = 1",
        "UPDATE servers SET deleted_us = 1",
        "UPDATE servers SET attempt = -1",
        // Stripe is read up to hints that came; a session that was never opened has no id.
        "UPDATE billing SET hints_read = 1",
        "UPDATE billing SET hints = -1",
        "UPDATE panel_budget SET used = -1",
        "UPDATE panel_budget SET window_limit = 0",
    ];
    broken.refuse(Refusal::Check, &statements).await;
    let never = if engine == Engine::Postgres {
        "true"
    } else {
        "1"
    };
    let both = format!(
        "UPDATE billing SET session_id = 'cs_1', never_opened = {never} WHERE order_id = {{1}}"
    );
    broken.refuse(Refusal::Check, &[&both]).await;
}

async fn doubles_are_refused(engine: Engine) {
    let broken = Broken::new(engine).await;
    for (first, second) in [
        (
            "UPDATE billing SET session_id = 'cs_1' WHERE order_id = {1}",
            "UPDATE billing SET session_id = 'cs_1' WHERE order_id = {2}",
        ),
        (
            "UPDATE billing SET subscription_id = 'sub_1' WHERE order_id = {1}",
            "UPDATE billing SET subscription_id = 'sub_1' WHERE order_id = {2}",
        ),
        (
            "UPDATE orders SET stripe_sub_id = 'sub_1' WHERE id = {1}",
            "UPDATE orders SET stripe_sub_id = 'sub_1' WHERE id = {2}",
        ),
        (
            "UPDATE servers SET pterodactyl_server_id = 7 WHERE order_id = {1}",
            "UPDATE servers SET pterodactyl_server_id = 7 WHERE order_id = {2}",
        ),
        (
            "UPDATE orders SET pterodactyl_server_id = 7 WHERE id = {1}",
            "UPDATE orders SET pterodactyl_server_id = 7 WHERE id = {2}",
        ),
        // One port for each place of an order.
        (
            "UPDATE allocations SET slot = 0 WHERE state = 'held'",
            "UPDATE allocations SET state = 'held', order_id = {1}, slot = 0 WHERE port = 25050",
        ),
    ] {
        assert_eq!(broken.run(first).await, None, "{first}");
        assert_eq!(broken.run(second).await, Some(Refusal::Unique), "{second}");
    }
    let twice = "UPDATE allocations SET pterodactyl_allocation_id = 1 WHERE port IN (25051, 25052)";
    broken.refuse(Refusal::Unique, &[twice]).await;
}

async fn strays_are_refused(engine: Engine) {
    let broken = Broken::new(engine).await;
    broken
        .refuse(
            Refusal::ForeignKey,
            &[
                "UPDATE orders SET plan_id = 'none'",
                "UPDATE orders SET node_id = 9999",
                "UPDATE plans SET game = 'none'",
                "UPDATE holds SET node_id = 9999",
                "UPDATE allocations SET node_id = 9999",
                "DELETE FROM orders WHERE id = {1}",
                "DELETE FROM profiles",
                "DELETE FROM ptero_nodes",
                "DELETE FROM games",
            ],
        )
        .await;
    let gone = format!("DELETE FROM plans WHERE id = '{PLAN}'");
    broken.refuse(Refusal::ForeignKey, &[&gone]).await;
}

/// The refusals above say something only if their neighbours are taken.
async fn possible_rows_are_taken(engine: Engine) {
    let broken = Broken::new(engine).await;
    for statement in [
        "UPDATE orders SET lease_owner = 'w', lease_until_us = 5",
        "UPDATE orders SET status = 'canceled', server_state = 'deleted'",
        "UPDATE plans SET grace_days = 0, retention_days = 3650, disputes = 'ignore'",
        "UPDATE plans SET grace_days = NULL, retention_days = NULL, disputes = NULL",
        "UPDATE orders SET waiting_reason = 'NO_CAPACITY', error_reason = 'INTERNAL'",
        "UPDATE allocations SET state = 'assigned' WHERE state = 'held'",
        "UPDATE allocations SET state = 'gone' WHERE state = 'free'",
        "UPDATE ptero_nodes SET held_ram_gb = 0",
        "UPDATE billing SET hints = 1, hints_read = 1",
        "UPDATE servers SET pterodactyl_server_id = 7, deleted_us = 1 WHERE order_id = {1}",
        // The panel's ids of deleted servers may come again.
        "UPDATE servers SET pterodactyl_server_id = 7 WHERE order_id = {2}",
        "UPDATE servers SET node_id = (SELECT id FROM ptero_nodes), create_sent_us = 1",
        "UPDATE plans SET stripe_price_id = NULL, is_active = (1 = 0)",
    ] {
        assert_eq!(broken.run(statement).await, None, "{statement}");
    }
}
