//! A purchase in every detail: what Stripe is asked, what is stored, what is told.

use sandbox::{
    stripe::{ApiVersion, Call},
    world::SHOP_ORIGIN,
};
use spawnpoint::rpc::proto::{self, Term};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart},
    till,
};

both_engines!(
    a_purchase_asks_stripe_for_exactly_what_was_ordered,
    a_purchase_is_told_from_the_session_to_the_running_server,
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
    assert_eq!(live.tries(&done.id).await, 0);
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
