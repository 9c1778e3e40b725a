//! A small shop to test with: one game, one plan, and as many nodes, ports, users
//! and orders as a test asks for. Rows are made as the product makes them.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
};

use spawnpoint::{
    app::App,
    db::{
        Db, Error, Tx,
        affiliates::{commissions, referrals},
        allocations::{self, Seen},
        billing, catalog, nodes,
        orders::{self, NewOrder, Note},
        profiles::{self, Told},
        servers,
    },
    domain::{
        DAY_US, OrderId, UserId,
        affiliate::Terms,
        catalog::{Game, ItemType, Money, Plan, Price, Spec, Term},
        dispute::DisputePolicy,
        entitlement::Patience,
        lenience::Lenience,
        node::NewNode,
        placement::Need,
    },
};
use uuid::Uuid;

/// The plan's id.
pub const PLAN: &str = "mc-2gb";
/// What one order of the plan takes of a node.
pub const NEED: Need = Need {
    ram_gb: 2,
    disk_gb: 10,
    vcores: 1,
    ports: 1,
};
/// How lenient the shop is.
pub const LENIENCE: Lenience = Lenience {
    patience: Patience {
        grace_us: 3 * DAY_US,
        retention_us: 7 * DAY_US,
    },
    disputes: DisputePolicy::Suspend,
};
/// Where every node is.
pub const REGION: &str = "us-east";

/// Ids of the panel, unique in this process.
static PANEL_IDS: AtomicI64 = AtomicI64::new(1);

/// A store with a game and a plan in it.
pub struct Shop {
    db: Db,
}

/// How big a node is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Memory, all of it usable.
    pub ram_gb: i32,
    /// Disk.
    pub disk_gb: i32,
    /// Free ports on one address, neighbours from 25000.
    pub ports: i32,
}

/// More than any test takes.
pub const BIG: Size = Size {
    ram_gb: 1_000,
    disk_gb: 10_000,
    ports: 100,
};

impl Shop {
    /// Stores the game and the plan.
    pub async fn open(db: &Db) -> Self {
        let (game, plan) = (&game(), &plan());
        db.tx(|tx| async move {
            catalog::games::insert(&tx, game).await?;
            catalog::plans::insert(&tx, plan).await
        })
        .await
        .expect("the catalog can be stored");
        Self { db: db.clone() }
    }

    /// A new node with all its ports read.
    pub async fn node(&self, size: Size) -> i32 {
        let panel_id = PANEL_IDS.fetch_add(1, Ordering::Relaxed);
        let node = &NewNode {
            pterodactyl_node_id: panel_id,
            name: format!("Node-{panel_id}"),
            region: REGION.to_owned(),
            fqdn: "node.example".to_owned(),
            max_ram_gb: size.ram_gb,
            max_disk_gb: size.disk_gb,
            max_vcores: None,
            reserved_headroom_gb: 0,
            enabled: true,
            maintenance: false,
            weight: 100,
        };
        let ports = &ports("10.0.0.1", 25_000..25_000 + size.ports);
        self.db
            .tx(|tx| async move {
                let id = nodes::insert(&tx, node, 0).await?;
                allocations::mirror(&tx, id, ports, 1, 1).await?;
                Ok::<_, Error>(id)
            })
            .await
            .expect("a node can be stored")
    }

    /// A node for `orders` orders of the plan, with as many ports.
    pub async fn node_for(&self, orders: i32) -> i32 {
        let (ram_gb, disk_gb) = (orders * NEED.ram_gb, orders * NEED.disk_gb);
        self.node(Size {
            ram_gb,
            disk_gb,
            ports: orders,
        })
        .await
    }

    /// One new order, never due by itself.
    pub async fn order(&self) -> OrderId {
        self.orders(1, i64::MAX).await[0]
    }

    /// New orders of one user, due at `due_us`.
    pub async fn orders(&self, count: usize, due_us: i64) -> Vec<OrderId> {
        let db = &self.db;
        db.tx(|tx| async move {
            let now_us = db.now_in(&tx).await?;
            let user_id = user(&tx, now_us).await?;
            let mut ids = Vec::new();
            for _ in 0..count {
                let order = new_order(OrderId(App::new_id(now_us)), user_id, due_us);
                orders::insert(&tx, &order, &note(), now_us).await?;
                billing::insert(&tx, order.id, &Vec::new(), now_us).await?;
                servers::insert(&tx, order.id).await?;
                ids.push(order.id);
            }
            Ok::<_, Error>(ids)
        })
        .await
        .expect("orders can be stored")
    }
}

/// Who changes orders in tests.
pub fn note() -> Note {
    Note {
        actor: "test".to_owned(),
        cause: "Test".to_owned(),
        trace_id: "0".to_owned(),
    }
}

/// Stores what one paid invoice of an order earned the affiliate who sent its customer; nothing
/// is promised for further ones.
#[allow(dead_code, reason = "each mode of the suite uses its own")]
pub async fn commission(
    tx: &Tx,
    order: OrderId,
    affiliate: UserId,
    now_us: i64,
) -> Result<(), Error> {
    referrals::insert(tx, order, affiliate, &Terms::default(), now_us).await?;
    let referral = referrals::find(&**tx, order).await?.unwrap();
    let found = commissions::Found {
        invoice_id: "in_of_a_friend".to_owned(),
        amount: Money {
            amount_minor: 69,
            currency: "usd".to_owned(),
        },
    };
    let inserted = commissions::insert(tx, &referral, &[found], now_us, now_us).await?;
    assert_eq!(inserted, 1);
    Ok(())
}

/// A new user's profile.
pub async fn user(tx: &Tx, now_us: i64) -> Result<UserId, Error> {
    let user_id = UserId(Uuid::from_bytes(rand::random()));
    let told = Told {
        user_id,
        email: format!("{user_id}@mail.example"),
        email_verified: true,
        first_name: "Ada".to_owned(),
        last_name: String::new(),
    };
    let id = App::new_id(now_us);
    let profile = profiles::upsert_locked(tx, id, &told, &Vec::new(), now_us).await?;
    Ok(profile.user_id)
}

/// Free ports as the panel lists them.
pub fn ports(ip: &str, numbers: impl IntoIterator<Item = i32>) -> Vec<Seen> {
    let seen = |port| Seen {
        panel_id: PANEL_IDS.fetch_add(1, Ordering::Relaxed),
        ip: ip.to_owned(),
        alias: String::new(),
        port,
        assigned: false,
    };
    numbers.into_iter().map(seen).collect()
}

/// An order of the plan.
pub fn new_order(id: OrderId, user_id: UserId, due_us: i64) -> NewOrder {
    NewOrder {
        id,
        user_id,
        plan_id: PLAN.to_owned(),
        item_type: ItemType::Game,
        term: Term::Monthly,
        region: REGION.to_owned(),
        server_name: "My server".to_owned(),
        addons: Vec::new(),
        manual_addons: Vec::new(),
        request_id: id.0,
        referral_code: String::new(),
        environment: BTreeMap::new(),
        cart_sha256: "0".repeat(64),
        spec: Spec {
            game: "minecraft".to_owned(),
            ram_mb: 2048,
            disk_mb: 10_240,
            swap_mb: 0,
            cpu_percent: 100,
            databases: 1,
            backups: 1,
            allocations: 0,
            ports: 1,
        },
        price_minor: 699,
        currency: "usd".to_owned(),
        lenience: LENIENCE,
        due_us,
    }
}

/// The game.
pub fn game() -> Game {
    Game {
        id: "minecraft".to_owned(),
        display_name: "Minecraft".to_owned(),
        ptero_nest_id: 1,
        ptero_egg_id: 3,
        ports: 1,
        port_variables: Vec::new(),
        environment: BTreeMap::new(),
        secret_variables: Vec::new(),
        min_ram_gb: 0,
        min_ssd_gb: 0,
        swap_mb: 0,
        oom_disabled: false,
        is_active: true,
        etag: "1".to_owned(),
        created_us: 1,
        updated_us: 1,
    }
}

/// The plan.
pub fn plan() -> Plan {
    Plan {
        id: PLAN.to_owned(),
        item_type: ItemType::Game,
        game: Some("minecraft".to_owned()),
        display_name: "Minecraft 2 GB".to_owned(),
        description: String::new(),
        ram_gb: 2,
        vcores: 1,
        ssd_gb: 10,
        databases: 1,
        backups: 1,
        allocations: 0,
        grace_days: None,
        retention_days: None,
        disputes: None,
        stripe_price_id: Some("price_test_mc".to_owned()),
        prices: vec![price("price_test_mc")],
        is_active: true,
        etag: "1".to_owned(),
        created_us: 1,
        updated_us: 1,
    }
}

/// A monthly price.
pub fn price(stripe_price_id: &str) -> Price {
    Price {
        term: Term::Monthly,
        stripe_price_id: stripe_price_id.to_owned(),
        amount: Money {
            amount_minor: 699,
            currency: "usd".to_owned(),
        },
    }
}
