//! An affiliate who goes: what was earned stays in the books, and nobody can name the code again.

use super::*;
use crate::support::changes::terminate;

both_engines!(an_affiliate_who_left_is_accounted_for_and_earns_no_more);

async fn export(live: &Live, user: Uuid) -> serde_json::Value {
    let message = proto::ExportProfileRequest {
        user_id: user.to_string(),
    };
    let request = live.storefront(message, user);
    let answer = live.orders().export_profile(request).await.unwrap();
    serde_json::from_slice(&answer.into_inner().document).unwrap()
}

async fn an_affiliate_who_left_is_accounted_for_and_earns_no_more(engine: Engine) {
    let live = open(engine, &[]).await;
    // Whose own order is over.
    let user = Uuid::new_v4();
    let own = live.buy(user).await;
    terminate(&live, &own.id).await;
    live.wait_order(&own.id, "it is gone", |order| {
        order.server_state() == ServerState::Deleted
    })
    .await;
    create(&live, user, "wilhelmina").await.unwrap();
    let sold = buy(&live, Uuid::new_v4(), "Wilhelmina").await;
    wait_states(&live, user, &["pending"]).await;
    let document = export(&live, user).await;
    assert_eq!(document["affiliate"]["code"], "wilhelmina");
    assert_eq!(document["affiliate"]["signups"], 1);
    let listed = document["commissions"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["order_id"], sold.id);
    assert_eq!(listed[0]["state"], "pending");

    wait::until("its room is given back", PATIENCE, || async {
        live.hold(&own.id).await.is_none()
    })
    .await;
    till::delivered(&live).await;
    let message = proto::DeleteProfileRequest {
        user_id: user.to_string(),
        request_id: String::new(),
    };
    let request = live.storefront(message, user);
    live.orders().delete_profile(request).await.unwrap();
    let left = affiliate(&live, user).await;
    assert!(!left.code.contains("wilhelmina"), "{left:?}");
    assert_eq!(left.signups, 1);
    let stranger = buy(&live, Uuid::new_v4(), "wilhelmina").await;
    looked(&live).await;
    assert_eq!(stranger.referral_code, "wilhelmina");
    let wanted = proto::CreateCheckoutSessionRequest {
        referral_code: left.code,
        ..cart(Uuid::new_v4())
    };
    let refused = live.checkout(wanted).await.unwrap_err();
    assert_eq!(reason(&refused), "FIELD_INVALID");
    assert_eq!(affiliate(&live, user).await.signups, 1);
    assert_eq!(commissions(&live, user).await.len(), 1);
    // Who comes back begins with another code.
    live.reserve(cart(user)).await;
    let again = create(&live, user, "again").await.unwrap();
    assert_eq!((again.code.as_str(), again.signups), ("again", 1));
    // What was earned before is the shop's to pay out.
    live.skip(15 * DAY);
    wait_states(&live, user, &["earned"]).await;
    assert_eq!(affiliate(&live, user).await.credits_cents, 69);
    live.close().await;
}
