//! Rows as the code reads them, against the schema as the steps make it.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{EntityTrait, Iden, Iterable, PaginatorTrait};
use spawnpoint::{
    app::{Role, tokens},
    db::{
        Db, Error, Tx, accounts,
        affiliates::{self, commissions, referrals},
        allocations, catalog, disputes, eggs, entity,
        guards::{self, Asked, Verdict},
        holds, order_changes, order_events, refunds,
        stripe_events::{self, NewEvent, Source, State},
        sweeps,
    },
    domain::{
        OrderId,
        affiliate::Terms,
        catalog::{Addon, ItemType, Money, Spec},
        egg::{Egg, Variable},
        guard::{Act, CHARGES},
        plan_change::PlanChange,
        profile::{Account, Origin},
        refund::RefundReason,
    },
};
use uuid::Uuid;

use crate::support::{
    db::{Engine, TestDb},
    shop::{self, BIG, LENIENCE, NEED, Shop, note},
    sql,
};

both_engines!(
    every_entity_has_the_columns_of_its_table,
    every_entity_reads_a_row
);

fn change() -> PlanChange {
    PlanChange {
        plan_id: "mc-4gb".to_owned(),
        addons: vec!["extra-port".to_owned()],
        manual_addons: vec!["analytics".to_owned()],
        spec: Spec {
            game: "minecraft".to_owned(),
            ram_mb: 4096,
            disk_mb: 40_960,
            swap_mb: 0,
            cpu_percent: 200,
            databases: 1,
            backups: 5,
            allocations: 0,
            ports: 1,
        },
        price_minor: 1399,
        prices: vec!["price_1".to_owned()],
        lenience: Some(LENIENCE),
        asked_us: 7,
        request: None,
        sent_us: None,
        answered: false,
    }
}

/// Runs a macro over every module of `db::entity`.
macro_rules! for_every_entity {
    ($do:ident) => {
        $do!(
            addon_prices,
            addons,
            affiliate_commissions,
            affiliate_referrals,
            affiliates,
            allocations,
            api_tokens,
            billing,
            disputes,
            eggs,
            external_accounts,
            games,
            guard_acts,
            holds,
            order_changes,
            order_events,
            orders,
            panel_budget,
            plan_prices,
            plans,
            profiles,
            ptero_nodes,
            refunds,
            request_keys,
            servers,
            stripe_events,
            sweeps,
        )
    };
}

fn columns<E>() -> (String, BTreeSet<String>)
where
    E: EntityTrait,
    E::Column: Iterable + Iden,
{
    let columns = E::Column::iter().map(|column| column.to_string()).collect();
    (E::default().table_name().to_owned(), columns)
}

fn entities() -> BTreeMap<String, BTreeSet<String>> {
    macro_rules! collect {
        ($($module:ident),+ $(,)?) => {
            BTreeMap::from([$(columns::<entity::$module::Entity>()),+])
        };
    }
    for_every_entity!(collect)
}

async fn tables(db: &Db) -> BTreeMap<String, BTreeSet<String>> {
    let query = if db.is_postgres() {
        "SELECT concat(table_name, '.', column_name) FROM information_schema.columns
            WHERE table_schema = 'public'"
    } else {
        "SELECT t.name || '.' || c.name FROM sqlite_master t, pragma_table_info(t.name) c
            WHERE t.type = 'table' AND t.name <> 'sqlite_sequence'"
    };
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in sql::texts(db, query).await {
        let (table, column) = line.split_once('.').expect("table and column");
        tables
            .entry(table.to_owned())
            .or_default()
            .insert(column.to_owned());
    }
    tables
        .remove("seaql_migrations")
        .expect("the record of steps");
    tables
}

async fn every_entity_has_the_columns_of_its_table(engine: Engine) {
    let test = TestDb::new(engine).await;
    let tables = tables(&test.db).await;
    assert_eq!(entities(), tables);
}

async fn every_entity_reads_a_row(engine: Engine) {
    let test = TestDb::new(engine).await;
    fill(&test.db).await;
    macro_rules! read {
        ($($module:ident),+ $(,)?) => {
            $({
                let rows = entity::$module::Entity::find().all(test.db.read()).await;
                let rows = rows.unwrap_or_else(|error| panic!("{}: {error}", stringify!($module)));
                assert!(!rows.is_empty(), "{} has no row to read", stringify!($module));
                let counted = entity::$module::Entity::find().count(test.db.read()).await;
                assert_eq!(counted.unwrap(), rows.len() as u64);
            })+
        };
    }
    for_every_entity!(read);
}

/// A row in every table, as the product writes it.
async fn fill(db: &Db) {
    let shop = Shop::open(db).await;
    let (node, order) = (shop.node(BIG).await, shop.order().await);
    let user_id = spawnpoint::db::orders::find(db.read(), order)
        .await
        .unwrap()
        .unwrap()
        .order
        .user_id;
    let (addon, egg) = (&addon(), &egg());
    let account = &Account {
        user_id,
        panel_id: 7,
        username: "ada".to_owned(),
        origin: Origin::Created,
        synced_us: 1_500_000,
    };
    let event = &NewEvent {
        id: "evt_1",
        kind: "invoice.paid",
        api_version: Some("2026-01-01"),
        livemode: false,
        created_us: 1,
        received_us: 2,
        payload: b"{}",
        source: Source::Webhook,
    };
    db.tx(|tx| async move {
        catalog::addons::insert(&tx, addon).await?;
        eggs::save(&tx, egg).await?;
        assert_eq!(accounts::insert(&tx, account).await?, *account);
        assert!(stripe_events::insert(&tx, event).await?);
        assert!(
            !stripe_events::insert(&tx, event).await?,
            "an event is stored once"
        );
        stripe_events::set_state(&tx, event.id, State::Applied, Some(order), "").await?;
        assert!(holds::take(&tx, order, node, NEED, 1).await?);
        allocations::assign(&tx, order).await?;
        let key = spawnpoint::db::request_keys::Key {
            caller: "operator".to_owned(),
            method: "Service/Method".to_owned(),
            request_id: Uuid::from_u128(1),
            body_sha256: "0".repeat(64),
            resource_id: "thing".to_owned(),
            expires_us: 2,
        };
        spawnpoint::db::request_keys::insert(&tx, key, 1).await?;
        let reason = RefundReason::PaidTwice;
        assert!(refunds::decide(&tx, order, "cs_2", reason, 1).await?);
        assert!(
            !refunds::decide(&tx, order, "cs_2", RefundReason::Unfulfillable, 2).await?,
            "a payment goes back once"
        );
        refer(&tx, order).await?;
        disputes::note(&tx, order, "du_1", "in_1", 1).await?;
        let asked = Asked {
            sweep: CHARGES,
            act: Act::Suspend,
            order,
            told: false,
        };
        assert_eq!(guards::pass(&tx, asked, 1).await?, Verdict::Passed);
        order_changes::insert(&tx, order, &change()).await?;
        order_events::remark(&tx, order, "hello", &note(), 1).await
    })
    .await
    .unwrap();
    let read = order_changes::find(db.read(), order).await.unwrap();
    assert_eq!(read, Some(change()), "what is stored is what is read");
    let due = refunds::due(db.read(), order).await.unwrap().unwrap();
    assert_eq!(
        (due.reason, due.session_id.as_str()),
        (RefundReason::PaidTwice, "cs_2")
    );
    let read = eggs::find(db.read(), egg.egg_id).await.unwrap();
    assert_eq!(read.as_ref(), Some(egg), "what is stored is what is read");
    let sweep = sweeps::take(db, "sweep", "me", 10, 10, 100).await;
    assert_eq!(sweep.unwrap(), sweeps::Turn::Taken(String::new()));
    tokens::create(db, Role::Operator, "name", None)
        .await
        .unwrap();
    order_events::sequence(db, 9).await.unwrap();
}

/// An affiliate who brought the order, and what that earns.
async fn refer(tx: &Tx, order: OrderId) -> Result<(), Error> {
    let affiliate = shop::user(tx, 1).await?;
    assert!(affiliates::insert(tx, affiliate, "friend").await?);
    for (user_id, code) in [(affiliate, "other"), (shop::user(tx, 1).await?, "FRIEND")] {
        let inserted = affiliates::insert(tx, user_id, code).await?;
        assert!(!inserted, "one code a user, one user a code, in any case");
    }
    let terms = Terms {
        percent: 10,
        ..Terms::default()
    };
    referrals::insert(tx, order, affiliate, &terms, 1).await?;
    let referral = referrals::find(&**tx, order).await?.unwrap();
    let found = commissions::Found {
        invoice_id: "in_1".to_owned(),
        amount: Money {
            amount_minor: 69,
            currency: "usd".to_owned(),
        },
    };
    for new in [1, 0] {
        let found = std::slice::from_ref(&found);
        let inserted = commissions::insert(tx, &referral, found, 1, 2).await?;
        assert_eq!(inserted, new, "an invoice earns once");
    }
    Ok(())
}

fn addon() -> Addon {
    Addon {
        id: "more-ram".to_owned(),
        item_type: ItemType::Game,
        display_name: "More memory".to_owned(),
        description: String::new(),
        ram_gb: 1,
        vcores: 0,
        ssd_gb: 0,
        databases: 0,
        backups: 0,
        allocations: 0,
        manual: false,
        stripe_price_id: Some("price_test_ram".to_owned()),
        prices: vec![shop::price("price_test_ram")],
        is_active: true,
        etag: "1".to_owned(),
        created_us: 1,
        updated_us: 1,
    }
}

fn egg() -> Egg {
    Egg {
        egg_id: 3,
        nest_id: 1,
        found: true,
        docker_image: "image".to_owned(),
        startup: "java -jar server.jar".to_owned(),
        variables: vec![Variable {
            name: "SERVER_JARFILE".to_owned(),
            default: "server.jar".to_owned(),
            editable: true,
            rules: "required|string".to_owned(),
        }],
        read_us: 1,
    }
}
