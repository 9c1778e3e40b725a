//! Reads a picture: one snapshot of the store by plain SQL, and the stand-ins' own truth
//! around it. Shares no query with what is audited.

use std::time::Duration;

use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, FromQueryResult, IsolationLevel, Statement, TransactionTrait,
};

use super::{
    picture::{PanelSide, Picture, StripeSide},
    rows::Store,
};
use crate::{panel::RunningPanel, stripe::Controls};

const ORDERS: &str = "SELECT id, user_id, status, server_state, node_id,
    pterodactyl_server_id, pterodactyl_server_identifier, stripe_sub_id, server_name, due_us,
    lease_owner, attempts, waiting_reason, error_reason, error_message, version,
    CAST(spec AS text) AS spec, CAST(lenience AS text) AS lenience,
    (SELECT CAST(order_changes.spec AS text) FROM order_changes
        WHERE order_changes.order_id = orders.id) AS other_spec
    FROM orders ORDER BY id";
const BILLING: &str = "SELECT order_id, session_id, customer_id, subscription_id, hints,
    never_opened, session_status, payment_status, payment_failed_us, read_us,
    subscription_status, suspend_since_us, disputed_since_us, ended_at_us, confirmed_at_us, refunds_due,
    CAST(prices AS text) AS prices FROM billing";
const SERVERS: &str = "SELECT order_id, attempt, node_id, create_sent_us, create_slot_until_us,
    pterodactyl_server_id, identifier, uuid, owner_id, egg_id, first_running_us,
    observed_status, suspend_sent_us, suspended_us, suspend_held_us, node_failing_us, force_sent_us,
    operator_suspended_us, terminated_us, deleted_us, respec_us, rename_us FROM servers";
const HOLDS: &str = "SELECT order_id, node_id, ram_gb, disk_gb, vcores, why FROM holds";
const NODES: &str = "SELECT id, pterodactyl_node_id, max_ram_gb, max_disk_gb, max_vcores,
    reserved_headroom_gb, held_ram_gb, held_disk_gb, held_vcores FROM ptero_nodes ORDER BY id";
const PORTS: &str = "SELECT pterodactyl_allocation_id, node_id, ip, port, order_id, state
    FROM allocations";
const EVENTS: &str = "SELECT id, sequence, order_id, what, from_value, to_value, actor, cause,
    trace_id, created_us FROM order_events ORDER BY id";
const INBOX: &str = "SELECT id, state, order_id FROM stripe_events";
const PROFILES: &str = "SELECT user_id, stripe_customer_id, (
        (stripe_follow_us IS NOT NULL AND stripe_problem = '' AND stripe_customer_id IS NOT NULL)
        OR (panel_follow_us IS NOT NULL AND panel_problem = '' AND EXISTS (SELECT 1
            FROM external_accounts WHERE external_accounts.user_id = profiles.user_id))
        OR panel_leaving_id IS NOT NULL) AS following FROM profiles";
const ACCOUNTS: &str = "SELECT user_id, pterodactyl_user_id FROM external_accounts";
const AFFILIATES: &str = "SELECT user_id, code, signups, credits_cents, currency FROM affiliates";
const REFERRALS: &str = "SELECT order_id, user_id FROM affiliate_referrals";
const COMMISSIONS: &str = "SELECT order_id, invoice_id, user_id, amount_minor, currency, state
    FROM affiliate_commissions";
const REFUNDS: &str = "SELECT order_id, session_id, done_us, amount_minor,
    CAST(refund_ids AS text) AS refund_ids FROM refunds";
const GUARDED: &str = "SELECT name FROM sweeps WHERE guard <> ''";
const REQUEST_KEYS: &str = "SELECT method, request_id, resource_id FROM request_keys";

/// A second look at a store that somebody else writes.
pub struct Auditor {
    store: DatabaseConnection,
}

impl Auditor {
    /// Opens the store that `DATABASE_URL` names.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn open(database_url: &str) -> Result<Self, DbErr> {
        let mut options = ConnectOptions::new(database_url);
        options
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(20))
            .sqlx_logging(false);
        let store = Database::connect(options).await?;
        Ok(Self { store })
    }

    /// Reads a picture. The stand-ins are read before the store, and the panel once more
    /// after it: what one of them shows must have its cause in the other.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn picture(
        &self,
        panel: &RunningPanel,
        stripe: &Controls,
        now_us: i64,
    ) -> Result<Picture, DbErr> {
        let stripe = StripeSide::of(stripe);
        let before = PanelSide::of(panel);
        let store = self.snapshot().await?;
        let after = PanelSide::of(panel);
        Ok(Picture {
            now_us,
            store,
            before,
            after,
            stripe,
        })
    }

    /// The store's own time, in microseconds since the Unix epoch.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn now_us(&self) -> Result<i64, DbErr> {
        let backend = self.store.get_database_backend();
        let sql = if backend == DbBackend::Postgres {
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        } else {
            "SELECT CAST(unixepoch('subsec') * 1000000 AS integer)"
        };
        let row = self
            .store
            .query_one_raw(Statement::from_string(backend, sql))
            .await?;
        let row = row.ok_or_else(|| DbErr::Custom("the store told no time".to_owned()))?;
        row.try_get_by_index(0)
    }

    async fn snapshot(&self) -> Result<Store, DbErr> {
        // SQLite has no isolation level to ask for: there each transaction is a snapshot.
        let postgres = self.store.get_database_backend() == DbBackend::Postgres;
        let isolation = postgres.then_some(IsolationLevel::RepeatableRead);
        let access = isolation.map(|_| AccessMode::ReadOnly);
        let tx = self.store.begin_with_config(isolation, access).await?;
        let store = Store {
            orders: rows(&tx, ORDERS).await?,
            billing: rows(&tx, BILLING).await?,
            servers: rows(&tx, SERVERS).await?,
            holds: rows(&tx, HOLDS).await?,
            nodes: rows(&tx, NODES).await?,
            ports: rows(&tx, PORTS).await?,
            events: rows(&tx, EVENTS).await?,
            inbox: rows(&tx, INBOX).await?,
            profiles: rows(&tx, PROFILES).await?,
            accounts: rows(&tx, ACCOUNTS).await?,
            request_keys: rows(&tx, REQUEST_KEYS).await?,
            refunds: rows(&tx, REFUNDS).await?,
            affiliates: rows(&tx, AFFILIATES).await?,
            referrals: rows(&tx, REFERRALS).await?,
            commissions: rows(&tx, COMMISSIONS).await?,
            guarded: rows(&tx, GUARDED).await?,
        };
        tx.commit().await?;
        Ok(store)
    }

    /// Closes its connection.
    ///
    /// # Errors
    /// The connection was broken.
    pub async fn close(self) -> Result<(), DbErr> {
        self.store.close().await
    }
}

async fn rows<T: FromQueryResult>(tx: &DatabaseTransaction, sql: &str) -> Result<Vec<T>, DbErr> {
    let statement = Statement::from_string(tx.get_database_backend(), sql);
    T::find_by_statement(statement).all(tx).await
}

impl PanelSide {
    fn of(panel: &RunningPanel) -> Self {
        let calls = panel.calls();
        let created = |path: &str| {
            let done = calls.iter().filter(|call| {
                call.method == "POST"
                    && call.status == Some(201)
                    && call.template == Some(format!("/api/application{path}").as_str())
            });
            done.filter_map(|call| {
                let body = call.body.as_ref()?;
                Some(body.get("external_id")?.as_str()?.to_owned())
            })
            .collect()
        };
        Self {
            servers: panel.servers(),
            users: panel.users(),
            created_servers: created("/servers"),
            created_users: created("/users"),
        }
    }
}

impl StripeSide {
    fn of(stripe: &Controls) -> Self {
        let acknowledged = stripe
            .deliveries()
            .into_iter()
            .filter(|delivery| delivery.status == 200 && delivery.url.ends_with("/stripe-webhook"))
            .map(|delivery| delivery.event_id);
        Self {
            acknowledged: acknowledged.collect(),
            customers: stripe.customers(),
            sessions: stripe.sessions(),
            subscriptions: stripe.subscriptions(),
            refunds: stripe.refunds(),
        }
    }
}
