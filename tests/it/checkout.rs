//! A purchase in every detail: what Stripe is asked, what is stored, what is told.

use sandbox::{
    stripe::{ApiVersion, Call},
    world::SHOP_ORIGIN,
};
use spawnpoint::rpc::proto::{self, Term};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    till,
};

both_engines!(
    a_purchase_asks_stripe_for_exactly_what_was_ordered,
    a_purchase_is_told_from_the_session_to_the_running_server,
    every_term_is_charged_at_its_own_price,
    one_customer_per_user_however_many_carts,
    a_full_cart_stays_within_the_limits_of_stripe,
);

/// The call that opened the only session so far.
fn session_call(live: &Live) -> Call {
    let mut calls = till::stripe_calls(live, "POST", "/v1/checkout/sessions");
    assert_eq!(calls.len(), 1, "one session was asked for");
    calls.remove(0)
}

/// Finding 18: the shop read the session's address from a place where it was not, so
/// that every checkout ended in an error after its order was made.
/// Finding 59: add-ons were charged and then forgotten.
async fn a_purchase_asks_stripe_for_exactly_what_was_ordered(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let wanted = proto::CreateCheckoutSessionRequest {
        term: Term::Quarterly as i32,
        addon_ids: vec![
            "additional-ssd".to_owned(),
            "discord-integration".to_owned(),
        ],
        referral_code: "friend-1".to_owned(),
        ..cart(user)
    };
    let opened = live.checkout(wanted.clone()).await.unwrap();
    let order = opened.order.unwrap();

    let call = session_call(&live);
    let expires_at = order.hold_expire_time.unwrap().seconds;
    let customer = order.stripe_customer_id.clone();
    let mut expected = vec![
        ("mode", "subscription".to_owned()),
        (
            "line_items[0][price]",
            "price_test_mc_2gb_quarterly".to_owned(),
        ),
        ("line_items[0][quantity]", "1".to_owned()),
        (
            "line_items[1][price]",
            "price_test_additional_ssd_quarterly".to_owned(),
        ),
        ("line_items[1][quantity]", "1".to_owned()),
        (
            "line_items[2][price]",
            "price_test_discord_integration_quarterly".to_owned(),
        ),
        ("line_items[2][quantity]", "1".to_owned()),
        ("success_url", format!("{SHOP_ORIGIN}/thanks")),
        ("cancel_url", format!("{SHOP_ORIGIN}/cart")),
        ("client_reference_id", order.id.clone()),
        ("expires_at", expires_at.to_string()),
        ("payment_method_types[0]", "card".to_owned()),
        ("customer", customer.clone()),
    ];
    for place in ["metadata", "subscription_data[metadata]"] {
        for (key, value) in [
            ("order_id", order.id.as_str()),
            ("user_id", wanted.user_id.as_str()),
            ("plan_id", "mc-2gb"),
            ("term", "quarterly"),
            ("region", "us-east"),
        ] {
            let name = match place {
                "metadata" => format!("metadata[{key}]"),
                _ => format!("subscription_data[metadata][{key}]"),
            };
            assert_eq!(call.param(&name), Some(value), "{name}");
        }
    }
    expected.sort_unstable();
    let mut sent: Vec<(&str, String)> = call
        .params
        .iter()
        .filter(|(key, _)| !key.contains("metadata"))
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, expected);
    assert_eq!(call.idempotency_key.as_deref(), Some(order.id.as_str()));
    assert_eq!(call.version.as_deref(), Some(ApiVersion::NEW));
    // 35 minutes after the commit, in whole seconds.
    let created = order.create_time.unwrap().seconds;
    assert!((2_098..=2_100).contains(&(expires_at - created)));

    let session = live
        .world
        .stripe
        .session(&order.stripe_checkout_session_id)
        .unwrap();
    assert_eq!(opened.checkout_url, session.url);
    assert_eq!(order.checkout_url, session.url);
    assert_eq!(opened.expire_time.unwrap().seconds, session.expires_at);
    assert_eq!(session.amount_subtotal, 1_992 + 713 + 425);

    let customers = till::stripe_calls(&live, "POST", "/v1/customers");
    assert_eq!(customers.len(), 1);
    assert_eq!(customers[0].idempotency_key, Some(format!("cus:{user}")));
    assert_eq!(customers[0].param("email"), Some(wanted.email.as_str()));
    assert_eq!(customers[0].param("name"), Some("Alex Miner"));
    assert_eq!(
        customers[0].param("metadata[user_id]"),
        Some(wanted.user_id.as_str())
    );

    assert_eq!(order.status(), proto::OrderStatus::Pending);
    assert_eq!(order.user_id, wanted.user_id);
    assert_eq!(order.term(), Term::Quarterly);
    assert_eq!(order.item_type(), proto::ItemType::Game);
    assert_eq!(order.addons, wanted.addon_ids);
    assert_eq!(order.referral_code, "friend-1");
    let price = order.price.as_ref().unwrap();
    assert_eq!(
        (price.amount_minor, price.currency.as_str()),
        (3_130, "usd")
    );
    let manual: Vec<(&str, bool)> = order
        .manual_addons
        .iter()
        .map(|addon| (addon.addon_id.as_str(), addon.done))
        .collect();
    assert_eq!(manual, [("discord-integration", false)]);

    // What is charged is what is delivered.
    live.pay(&order);
    live.wait_running(&order.id).await;
    let server = live.world.panel.server(&order.id).unwrap();
    assert_eq!((server.memory, server.disk), (2 * 1024, 70 * 1024));
    live.close().await;
}

/// Finding 1: the webhook's code threw on every completed checkout: paid, and no order.
async fn a_purchase_is_told_from_the_session_to_the_running_server(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.checkout(cart(user)).await.unwrap().order.unwrap();
    live.pay(&order);
    let done = live.wait_running(&order.id).await;

    let session = live
        .world
        .stripe
        .session(&order.stripe_checkout_session_id)
        .unwrap();
    let subscription = live.world.stripe.subscription(&done.stripe_sub_id).unwrap();
    assert_eq!(Some(&done.stripe_sub_id), session.subscription.as_ref());
    assert_eq!(done.subscription_status, "active");
    assert_eq!(
        done.current_period_end_time.unwrap().seconds,
        subscription.current_period_end
    );
    assert_eq!(subscription.metadata.get("order_id"), Some(&order.id));
    // Nobody is sent to pay again.
    assert_eq!(done.checkout_url, "");
    assert_eq!(done.hold_expire_time, None);
    assert_eq!(
        (done.waiting_reason.as_str(), done.error_reason.as_str()),
        ("", "")
    );
    assert_eq!(done.attempts, 0);
    assert!(done.version > order.version);

    let server = live.world.panel.server(&order.id).unwrap();
    assert_eq!(done.pterodactyl_server_id, server.id);
    assert_eq!(done.pterodactyl_server_identifier, server.identifier);
    assert_eq!(server.name, "Alex's world");

    let changes = till::changes(&live, &order.id).await;
    let status: Vec<(&str, &str, &str, &str)> = changes
        .iter()
        .filter(|change| change.what == "status")
        .map(|change| {
            (
                change.from.as_str(),
                change.to.as_str(),
                change.actor.as_str(),
                change.cause.as_str(),
            )
        })
        .collect();
    assert_eq!(
        status,
        [
            (
                "",
                "pending",
                "rpc:storefront",
                "OrderService/CreateCheckoutSession"
            ),
            ("pending", "paid", "worker", "SyncBilling"),
            ("paid", "provisioning", "worker", "Place"),
            ("provisioning", "provisioned", "worker", "CreateServer"),
        ]
    );
    let change = |what: &str| {
        let found = changes.iter().find(|change| change.what == what);
        found.map(|change| (change.to.as_str(), change.actor.as_str()))
    };
    let session_id = order.stripe_checkout_session_id.as_str();
    assert_eq!(
        change("stripe_checkout_session_id"),
        Some((session_id, "rpc:storefront"))
    );
    assert_eq!(
        change("stripe_sub_id"),
        Some((done.stripe_sub_id.as_str(), "worker"))
    );
    assert!(changes.iter().all(|change| !change.cause.is_empty()));
    assert!(changes.iter().all(|change| change.order_id == order.id));

    let message = proto::GetProfileRequest {
        user_id: user.to_string(),
    };
    let answer = live
        .orders()
        .get_profile(live.storefront(message, user))
        .await
        .unwrap();
    let profile = answer.into_inner().profile.unwrap();
    assert_eq!(profile.email, cart(user).email);
    assert!(profile.email_verified);
    assert_eq!(
        (profile.first_name.as_str(), profile.last_name.as_str()),
        ("Alex", "Miner")
    );
    assert_eq!(profile.stripe_customer_id, subscription.customer);

    let message = proto::GetExternalAccountRequest {
        user_id: user.to_string(),
    };
    let answer = live
        .provisioning()
        .get_external_account(live.viewer(message))
        .await
        .unwrap();
    let account = answer.into_inner().external_account.unwrap();
    let users = live.world.panel.users();
    let owner = users.iter().find(|row| row.id == server.user).unwrap();
    assert_eq!(account.pterodactyl_user_id, owner.id);
    assert_eq!(account.panel_username, owner.username);
    assert_eq!(account.origin, "created");
    assert_eq!(owner.external_id, Some(user.to_string()));
    live.close().await;
}

/// Finding 5: the storefront sold half a year, which the table refused after payment.
/// Finding 7: whatever term was chosen, the monthly price was charged.
async fn every_term_is_charged_at_its_own_price(engine: Engine) {
    let live = Live::open(engine).await;
    for (term, price, amount, months) in [
        (Term::Monthly, "price_test_mc_1gb_monthly", 399, 1),
        (Term::Quarterly, "price_test_mc_1gb_quarterly", 1_137, 3),
        (Term::Semiannual, "price_test_mc_1gb_semiannual", 2_155, 6),
        (Term::Yearly, "price_test_mc_1gb_yearly", 3_830, 12),
    ] {
        let wanted = proto::CreateCheckoutSessionRequest {
            plan_id: "mc-1gb".to_owned(),
            term: term as i32,
            ..cart(Uuid::new_v4())
        };
        let order = live.checkout(wanted).await.unwrap().order.unwrap();
        let session = live
            .world
            .stripe
            .session(&order.stripe_checkout_session_id)
            .unwrap();
        assert_eq!(session.lines, [(price.to_owned(), 1)]);
        assert_eq!(session.amount_subtotal, amount);
        assert_eq!(order.price.as_ref().unwrap().amount_minor, amount);
        live.pay(&order);
        let done = live.wait_running(&order.id).await;
        assert_eq!(done.term(), term);
        let subscription = live.world.stripe.subscription(&done.stripe_sub_id).unwrap();
        let days = (subscription.current_period_end - subscription.current_period_start) / 86_400;
        assert!(
            (months * 28..=months * 31).contains(&days),
            "{term:?}: {days} days"
        );
    }
    live.close().await;
}

async fn one_customer_per_user_however_many_carts(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let carts = (0..3).map(|n| proto::CreateCheckoutSessionRequest {
        server_name: format!("world {n}"),
        ..cart(user)
    });
    // At once, so that each finds no customer yet.
    let opened = futures_util::future::join_all(carts.map(|cart| live.checkout(cart))).await;
    let orders: Vec<proto::Order> = opened
        .into_iter()
        .map(|opened| opened.unwrap().order.unwrap())
        .collect();
    let customer = &orders[0].stripe_customer_id;
    assert!(customer.starts_with("cus_"));
    assert!(
        orders
            .iter()
            .all(|order| order.stripe_customer_id == *customer)
    );
    let sessions = live.world.stripe.sessions();
    assert_eq!(sessions.len(), 3);
    assert!(
        sessions
            .iter()
            .all(|session| session.customer.as_ref() == Some(customer))
    );
    let made = till::stripe_calls(&live, "POST", "/v1/customers");
    let keys: Vec<_> = made
        .iter()
        .filter_map(|call| call.idempotency_key.clone())
        .collect();
    assert!(
        keys.iter().all(|key| *key == format!("cus:{user}")),
        "{keys:?}"
    );
    assert_eq!(till::rows(&live, "profiles").await, 1);

    let other = live
        .checkout(cart(Uuid::new_v4()))
        .await
        .unwrap()
        .order
        .unwrap();
    assert_ne!(other.stripe_customer_id, *customer);
    live.close().await;
}

/// Finding 20: the list of add-ons and the server's name went into one label at Stripe,
/// which takes 500 characters: a full cart failed when its session was opened.
async fn a_full_cart_stays_within_the_limits_of_stripe(engine: Engine) {
    // A full cart: as many add-ons as Stripe takes lines beside the plan's.
    let ids: Vec<String> = (0..19)
        .map(|n| format!("an-add-on-with-a-long-id-{n:030}"))
        .collect();
    let sold: String = ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            format!(
                "\n[addons.{id}]\ndisplay_name = \"Add-on {n}\"\nmanual = true\n\
                 prices.monthly = {{ stripe_price_id = \"price_test_full_{n}\", amount = 100 }}\n"
            )
        })
        .collect();
    let live = Live::open_with(engine, |options| options.catalog.push_str(&sold)).await;
    let name = "\u{1F3F0}".repeat(64);
    let wanted = proto::CreateCheckoutSessionRequest {
        addon_ids: ids.clone(),
        server_name: name.clone(),
        success_url: format!(
            "{SHOP_ORIGIN}/{}?s={{CHECKOUT_SESSION_ID}}",
            "x".repeat(1_900)
        ),
        ..cart(Uuid::new_v4())
    };
    let too_long = proto::CreateCheckoutSessionRequest {
        server_name: format!("{name}!"),
        ..wanted.clone()
    };
    let refused = live.checkout(too_long).await.unwrap_err();
    assert_eq!(reason(&refused), "FIELD_INVALID");

    let order = live.checkout(wanted).await.unwrap().order.unwrap();
    let session = live
        .world
        .stripe
        .session(&order.stripe_checkout_session_id)
        .unwrap();
    assert_eq!(session.lines.len(), 20);
    assert!(session.success_url.ends_with(&format!("?s={}", session.id)));
    assert!(
        session
            .metadata
            .values()
            .all(|value| value.chars().count() <= 100)
    );
    live.pay(&order);
    let done = live.wait_running(&order.id).await;
    assert_eq!(done.addons, ids);
    assert_eq!(live.world.panel.server(&order.id).unwrap().name, name);
    live.close().await;
}
