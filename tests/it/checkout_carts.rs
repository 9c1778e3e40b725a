//! Carts of every kind: each term, many at once, as full as Stripe allows.

use sandbox::world::SHOP_ORIGIN;
use spawnpoint::rpc::proto::{self, Term};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    till,
};

both_engines!(
    every_term_is_charged_at_its_own_price,
    one_customer_per_user_however_many_carts,
    a_full_cart_stays_within_the_limits_of_stripe,
);

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
