//! The page of Stripe's where a customer changes the way to pay: with our settings, for the
//! order's own customer, and never with a change of plan.

use futures_util::future::join_all;
use sandbox::{
    stripe::{Effect, Fault},
    world::SHOP_ORIGIN,
};
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
};

both_engines!(
    a_page_is_the_customers_own_and_changes_no_plan,
    a_page_is_refused_where_there_is_none_to_make,
);

const CONFIGURATIONS: &str = "/v1/billing_portal/configurations";

async fn page(live: &Live, order_id: &str, user: Uuid, to: &str) -> Result<String, Status> {
    let message = proto::CreateBillingPortalSessionRequest {
        order_id: order_id.to_owned(),
        return_url: to.to_owned(),
    };
    let mut client = live.orders();
    let request = live.storefront(message, user);
    let answer = client.create_billing_portal_session(request).await?;
    Ok(answer.into_inner().url)
}

fn account() -> String {
    format!("{SHOP_ORIGIN}/account")
}

/// Our settings are made once, by whoever is first, and found by the next process.
async fn a_page_is_the_customers_own_and_changes_no_plan(engine: Engine) {
    let mut live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy(user).await;
    let to = account();
    let clicks = (0..5).map(|_| page(&live, &order.id, user, &to));
    let mut urls: Vec<String> = join_all(clicks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let stripe = &live.world.stripe;
    let pages = stripe.portal_pages();
    assert_eq!(pages.len(), 5);
    for page in &pages {
        assert_eq!(page.customer, order.stripe_customer_id);
        assert_eq!(page.return_url, to);
        assert_eq!(page.configuration, pages[0].configuration);
        assert_eq!(page.features, ["invoice_history", "payment_method_update"]);
    }
    assert_eq!(stripe.count("POST", CONFIGURATIONS), 1);
    urls.sort_unstable();
    urls.dedup();
    assert_eq!(urls.len(), 5, "each click has its own page");

    live.world.stop_cores().await;
    live.world
        .start_core(spawnpoint::boot::Mode::All)
        .await
        .unwrap();
    page(&live, &order.id, user, &to).await.unwrap();
    assert_eq!(live.world.stripe.count("POST", CONFIGURATIONS), 1);
    live.close().await;
}

/// Findings 39 and 48: any e-mail address opened another customer's portal, and the way back from
/// it led wherever the request said.
async fn a_page_is_refused_where_there_is_none_to_make(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let to = account();
    let unpaid = live.reserve(cart(user)).await;
    let refused = page(&live, &unpaid.id, user, &to).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "ORDER_NOT_PAID")
    );
    live.pay(&unpaid);
    live.wait_running(&unpaid.id).await;
    let elsewhere = "https://elsewhere.example/account";
    let refused = page(&live, &unpaid.id, user, elsewhere).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::InvalidArgument, "URL_NOT_ALLOWED")
    );
    let other = page(&live, &unpaid.id, Uuid::new_v4(), &to).await;
    assert_eq!(reason(&other.unwrap_err()), "ORDER_NOT_FOUND");
    let stripe = &live.world.stripe;
    let away = Fault::on("POST", "/v1/billing_portal/sessions", Effect::DropBefore).always();
    let away = stripe.inject(away);
    let refused = page(&live, &unpaid.id, user, &to).await.unwrap_err();
    assert_eq!(reason(&refused), "STRIPE_UNAVAILABLE");
    assert!(stripe.fired(away) > 0);
    stripe.clear_faults();
    assert_eq!(stripe.portal_pages(), []);
    page(&live, &unpaid.id, user, &to).await.unwrap();
    live.close().await;
}
