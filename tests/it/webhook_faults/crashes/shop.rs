//! A shop whose core and gateway are processes that can be killed, and a transaction that
//! keeps theirs from ending.

use std::net::SocketAddr;

use spawnpoint::{
    db::{Connection, Error},
    rpc::proto::Order,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::wire::Proxy;
use crate::support::{
    db::Engine,
    live::Live,
    processes::{CoreProcess, GatewayProcess, Program},
    provisioning::cart_of,
    sql, till,
};

const VARIABLES: [(&str, &str); 1] = [("SWEEP_PENDING_SECONDS", till::NEVER)];

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Core,
    Gateway,
}

/// A shop whose core and gateway are processes, with a wire in front of each.
pub struct Shop {
    pub live: Live,
    core: CoreProcess,
    gateway: GatewayProcess,
    /// From Stripe to the gateway.
    front: Proxy,
    /// From the gateway to the core.
    pub back: Proxy,
    /// What the killed ones had logged.
    logs: String,
    /// PostgreSQL: the worker is a process that nobody kills, so that no lease has to run out.
    worker: Option<CoreProcess>,
}

impl Shop {
    pub async fn open(engine: Engine) -> Self {
        let mut live = Live::open_with(engine, |options| {
            options.set_all(&VARIABLES);
        })
        .await;
        live.world.stop_cores().await;
        let worker = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(CoreProcess::start(&live, &VARIABLES).await),
        };
        let core = start_core(&live).await;
        let back = Proxy::start(core.grpc).await;
        let gateway = start_gateway(&live, back.addr).await;
        let front = Proxy::start(gateway.addr).await;
        let url = format!("http://{}/stripe-webhook", front.addr);
        live.world
            .stripe
            .set_webhook_endpoint(
                &url,
                sandbox::world::WEBHOOK_SECRET,
                sandbox::stripe::ApiVersion::NEW,
            )
            .unwrap();
        // Only what a test delivers is delivered.
        till::deliver_webhooks(&live, false);
        Self {
            live,
            core,
            gateway,
            front,
            back,
            logs: String::new(),
            worker,
        }
    }

    pub async fn reserve(&self) -> Order {
        self.live.reserve(cart_of(Uuid::new_v4(), "mc-1gb")).await
    }

    /// The wire that leads to a victim.
    pub fn in_front_of(&self, victim: Victim) -> &Proxy {
        match victim {
            Victim::Core => &self.back,
            Victim::Gateway => &self.front,
        }
    }

    pub async fn kill(&mut self, victim: Victim) {
        let program: &Program = match victim {
            Victim::Core => &self.core,
            Victim::Gateway => &self.gateway,
        };
        program.kill().await;
        self.logs.push_str(&program.log());
    }

    /// Closes the shop, and audits it.
    pub async fn close(mut self) {
        for program in [&*self.core, &*self.gateway] {
            self.logs.push_str(&program.log());
        }
        if let Some(worker) = &self.worker {
            self.logs.push_str(&worker.log());
        }
        self.live.close_served_by_processes(&self.logs).await;
    }

    pub async fn start_again(&mut self, victim: Victim) {
        match victim {
            Victim::Core => self.core = start_core(&self.live).await,
            Victim::Gateway => {
                self.gateway = start_gateway(&self.live, self.back.addr).await;
                self.front.retarget(self.gateway.addr);
            }
        }
    }
}

async fn start_core(live: &Live) -> CoreProcess {
    if live.store.db.is_postgres() {
        CoreProcess::start_services(live, &VARIABLES).await
    } else {
        CoreProcess::start_all(live, &VARIABLES).await
    }
}

async fn start_gateway(live: &Live, core: SocketAddr) -> GatewayProcess {
    let url = format!("http://{core}");
    GatewayProcess::start(live, &[("SPAWNPOINT_URL", &url)]).await
}

/// A transaction of somebody else's, in which the event's own cannot end.
pub struct Blockade {
    end: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Blockade {
    /// Holds the order's row on PostgreSQL, and the only right to write on SQLite.
    pub async fn begin(live: &Live, order: &Order) -> Self {
        let (db, held, end) = (
            live.store.db.clone(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let lock = db.is_postgres().then(|| {
            let id = sql::id(&db, order.id.parse().unwrap());
            format!("SELECT 1 FROM orders WHERE id = {id} FOR UPDATE")
        });
        let (told, ended) = (held.clone(), end.clone());
        let task = tokio::spawn(async move {
            let (lock, told, ended) = (&lock, &told, &ended);
            db.tx(|tx| async move {
                if let Some(lock) = lock {
                    tx.execute_unprepared(lock).await?;
                }
                told.cancel();
                ended.cancelled().await;
                Ok(())
            })
            .await
        });
        held.cancelled().await;
        Self { end, task }
    }

    pub async fn end(self) {
        self.end.cancel();
        self.task.await.unwrap().unwrap();
    }
}
