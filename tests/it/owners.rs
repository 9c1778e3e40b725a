//! The panel account that a server belongs to: made once, adopted only when it is
//! surely the customer's, never an administrator's.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use sandbox::panel::{Fault, FaultAction, Outage, UserSpec};
use spawnpoint::{
    db::accounts,
    domain::profile::{Account, Origin},
    rpc::proto,
};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::support::{
    db::{Engine, TestDb},
    live::{Live, PATIENCE, cart},
    shop::user,
    wait,
};

both_engines!(
    a_returning_customer_costs_one_call,
    two_orders_of_a_new_customer_make_one_account,
    an_account_stored_twice_at_once_is_no_conflict,
    a_verified_address_is_adopted_and_a_neighbour_is_not,
    an_account_that_may_be_anothers_parks_the_order,
    customers_of_the_same_or_of_any_name_get_their_own_accounts,
    an_account_made_without_an_answer_is_found_again,
    an_account_that_is_taken_and_never_found_parks_the_order,
);

/// A cart of a customer with this address.
fn cart_from(user: Uuid, email: &str) -> proto::CreateCheckoutSessionRequest {
    proto::CreateCheckoutSessionRequest {
        email: email.to_owned(),
        ..cart(user)
    }
}

/// Somebody who is on the panel already.
fn present(email: &str, username: &str) -> UserSpec {
    UserSpec {
        email: email.to_owned(),
        username: username.to_owned(),
        first_name: "Al".to_owned(),
        last_name: "Ready".to_owned(),
        external_id: None,
        root_admin: false,
    }
}

async fn account(live: &Live, user: Uuid) -> proto::ExternalAccount {
    let message = proto::GetExternalAccountRequest {
        user_id: user.to_string(),
    };
    let answer = live
        .provisioning()
        .get_external_account(live.operator(message))
        .await;
    answer.unwrap().into_inner().external_account.unwrap()
}

async fn a_returning_customer_costs_one_call(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    live.buy_cart(cart(user)).await;
    let about_users =
        || live.world.panel.count("POST", "/users") + live.world.panel.count("GET", "/users");
    let eggs = || live.calls("GET", "/nests/{nest}/eggs/{egg}").len();
    assert_eq!(about_users(), 1, "a new customer costs one call more");
    let (eggs_before, creates_before) = (eggs(), live.world.panel.count_route("POST", "/servers"));

    let order = live.buy_cart(cart(user)).await;
    assert_eq!(about_users(), 1);
    assert_eq!(
        live.world.panel.count_route("POST", "/servers"),
        creates_before + 1
    );
    assert_eq!(
        live.calls("GET", "/servers/external/{external_id}").len(),
        0
    );
    assert_eq!(eggs(), eggs_before);
    let made = live.made(&order.id);
    assert_eq!(made.user, live.panel_users(user)[0].id);
    live.close().await;
}

async fn two_orders_of_a_new_customer_make_one_account(engine: Engine) {
    let live = Live::open(engine).await;
    live.hold_webhooks();
    let users: Vec<Uuid> = (0..3).map(|_| Uuid::new_v4()).collect();
    let mut orders = Vec::new();
    for user in &users {
        for name in ["One", "Two"] {
            let cart = proto::CreateCheckoutSessionRequest {
                server_name: name.to_owned(),
                ..cart(*user)
            };
            orders.push((*user, live.purchase(cart).await));
        }
    }
    live.release_webhooks();
    join_all(orders.iter().map(|(_, order)| live.wait_running(&order.id))).await;
    for (user, order) in &orders {
        let accounts = live.panel_users(*user);
        assert_eq!(accounts.len(), 1, "{accounts:?}");
        assert_eq!(live.made(&order.id).user, accounts[0].id);
        assert_eq!(live.creates(&order.id).len(), 1);
        assert_eq!(
            account(&live, *user).await.pterodactyl_user_id,
            accounts[0].id
        );
    }
    live.close().await;
}

/// Both orders of a new customer found the account and store it in the same moment: an account
/// has two keys, and it depends on the moment which of them refuses first.
async fn an_account_stored_twice_at_once_is_no_conflict(engine: Engine) {
    let test = TestDb::new(engine).await;
    let replicas = [test.replica().await, test.replica().await];
    for panel_id in 1..=100 {
        let user_id = test.db.tx(|tx| async move { user(&tx, 1).await }).await;
        let account = Account {
            user_id: user_id.unwrap(),
            panel_id,
            username: format!("user-{panel_id}"),
            origin: Origin::Created,
            synced_us: 1_500_000,
        };
        let barrier = Arc::new(Barrier::new(replicas.len()));
        let stores = replicas.iter().map(|db| {
            let (db, account, barrier) = (db.clone(), account.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                db.tx(|tx| {
                    let account = account.clone();
                    async move { accounts::insert(&tx, &account).await }
                })
                .await
            })
        });
        for stored in join_all(stores).await {
            assert_eq!(stored.unwrap().unwrap(), account);
        }
    }
}

/// Finding 52: usernames came from names, so two customers named John collided and
/// spaces or accents were refused.
async fn customers_of_the_same_or_of_any_name_get_their_own_accounts(engine: Engine) {
    let live = Live::open(engine).await;
    let names = [
        ("John", "Doe"),
        ("John", "Doe"),
        ("Zoë Ágnes", "de la Cruz"),
        ("", ""),
    ];
    let mut bought = Vec::new();
    for (first, last) in names {
        let user = Uuid::new_v4();
        let cart = proto::CreateCheckoutSessionRequest {
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            ..cart(user)
        };
        bought.push((user, live.purchase(cart).await));
    }
    let mut owners = BTreeSet::new();
    for (user, order) in &bought {
        let order = live.wait_running(&order.id).await;
        assert_eq!(live.tries(&order.id).await, 0);
        let accounts = live.panel_users(*user);
        assert_eq!(accounts.len(), 1);
        assert_eq!(live.made(&order.id).user, accounts[0].id);
        assert!(
            owners.insert(accounts[0].id),
            "one account for two customers"
        );
    }
    live.close().await;
}

/// Finding 37: the panel's e-mail filter finds neighbours too, and the first row was
/// taken: a@b.co got the account of aa@b.co.
async fn a_verified_address_is_adopted_and_a_neighbour_is_not(engine: Engine) {
    let live = Live::open(engine).await;
    // Made first, so that they come first in every list.
    let neighbour = live.world.panel.add_user(&present("aa@b.co", "neighbour"));
    let known = live.world.panel.add_user(&present("a@b.co", "known"));
    let user = Uuid::new_v4();
    let order = live.buy_cart(cart_from(user, "a@b.co")).await;
    assert_eq!(live.made(&order.id).user, known);
    assert_eq!(
        live.panel_users(user)[0].id,
        known,
        "the external id is written"
    );
    let account = account(&live, user).await;
    assert_eq!(
        (account.origin.as_str(), account.panel_username.as_str()),
        ("adopted", "known")
    );
    assert_eq!(live.server(&order.id).await.panel_username, "known");

    // Nobody has the address, and the first create is lost: the look finds a neighbour only.
    let other = Uuid::new_v4();
    live.world.panel.add_user(&present("xc@d.co", "beside"));
    let lost = live
        .world
        .panel
        .inject(Fault::on("POST", "/users", FaultAction::Drop).times(1));
    let order = live.buy_cart(cart_from(other, "c@d.co")).await;
    assert_eq!(live.world.panel.fired(lost), 1);
    let own = live.panel_users(other);
    assert_eq!((own.len(), own[0].email.as_str()), (1, "c@d.co"));
    assert_eq!(live.made(&order.id).user, own[0].id);
    assert_eq!(live.tries(&order.id).await, 0);
    for row in live
        .world
        .panel
        .users()
        .iter()
        .filter(|row| row.id == neighbour || row.username == "beside")
    {
        assert_eq!(row.external_id, None, "{row:?}");
    }
    live.close().await;
}

async fn an_account_that_may_be_anothers_parks_the_order(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    panel.add_user(&present("taken@b.co", "taken"));
    panel.add_user(&UserSpec {
        root_admin: true,
        ..present("root@b.co", "root")
    });
    let linked = Some(Uuid::new_v4().to_string());
    panel.add_user(&UserSpec {
        external_id: linked,
        ..present("linked@b.co", "linked")
    });
    let before = panel.users();

    let (unverified, root, foreign) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let unverified_cart = proto::CreateCheckoutSessionRequest {
        email_verified: false,
        ..cart_from(unverified, "taken@b.co")
    };
    let mut parked = Vec::new();
    for cart in [
        unverified_cart,
        cart_from(root, "root@b.co"),
        cart_from(foreign, "linked@b.co"),
    ] {
        let order = live.purchase(cart).await;
        let order = live.wait_parked(&order.id, "PANEL_USER_UNRESOLVED").await;
        assert_eq!(order.status(), proto::OrderStatus::Error);
        assert!(!order.error_message.is_empty());
        assert_eq!(live.creates(&order.id).len(), 0);
        assert!(
            live.hold(&order.id).await.is_some(),
            "paid for: its room stays"
        );
        parked.push(order);
    }
    assert_eq!(panel.users(), before);

    // Verified since: the customer's next checkout tells, and an operator lets it try again.
    live.reserve(cart_from(unverified, "taken@b.co")).await;
    live.provision(&parked[0].id).await.unwrap();
    let order = live.wait_running(&parked[0].id).await;
    assert_eq!(order.error_reason, "");
    assert_eq!(live.panel_users(unverified)[0].username, "taken");
    // For the others nothing has changed.
    live.provision(&parked[1].id).await.unwrap();
    live.wait_parked(&parked[1].id, "PANEL_USER_UNRESOLVED")
        .await;
    assert_eq!(live.creates(&parked[1].id).len(), 0);
    live.close().await;
}

async fn an_account_made_without_an_answer_is_found_again(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let lost = [
        FaultAction::Drop,
        FaultAction::HtmlPage { status: 502 },
        FaultAction::Garbage,
        FaultAction::Truncate,
    ];
    for action in lost {
        let fault = panel.inject(
            Fault::on("POST", "/users", action.clone())
                .after_work()
                .times(1),
        );
        let user = Uuid::new_v4();
        let order = live.buy_cart(cart(user)).await;
        assert_eq!(panel.fired(fault), 1, "{action:?}");
        assert_eq!(
            (live.panel_users(user).len(), live.tries(&order.id).await),
            (1, 0),
            "{action:?}"
        );
        assert_eq!(account(&live, user).await.origin, "created", "{action:?}");
    }
    // A broken mailer: a 500, and yet the account is there.
    panel.set_outage(Some(Outage::Mail));
    let user = Uuid::new_v4();
    let order = live.buy_cart(cart(user)).await;
    assert_eq!(
        (live.panel_users(user).len(), live.tries(&order.id).await),
        (1, 0)
    );
    live.close().await;
}

/// The panel says that the name is taken, and neither look finds whose it is: the panel is
/// well, and would be waited for in vain.
async fn an_account_that_is_taken_and_never_found_parks_the_order(engine: Engine) {
    let live = Live::open(engine).await;
    let panel = &live.world.panel;
    let user = Uuid::new_v4();
    panel.add_user(&present("else@b.co", &user.simple().to_string()));
    let order = live.reserve(cart_from(user, "mine@b.co")).await;
    live.pay(&order);
    for tries in 1..=10 {
        wait::until("it is tried once more", PATIENCE, || async {
            live.tries(&order.id).await >= tries
        })
        .await;
        // Waits between tries double.
        live.skip(Duration::from_secs(900));
    }
    live.wait_parked(&order.id, "PANEL_USER_UNRESOLVED").await;
    assert_eq!(live.tries(&order.id).await, 10);
    assert_eq!(
        live.order(&order.id).await.status(),
        proto::OrderStatus::Error
    );
    assert_eq!(panel.users().len(), 2, "the administrator and the other");
    assert!(live.hold(&order.id).await.is_some());
    live.close().await;
}
