//! Add-ons that people deliver: shown on the order until an operator says that it is done.

use spawnpoint::rpc::proto::{self, Order};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason},
    till,
};

both_engines!(
    what_people_deliver_is_shown_until_it_is_done,
    nobody_delivers_what_is_not_paid,
);

const ADDON: &str = "discord-integration";

async fn complete(
    live: &Live,
    order: &Order,
    addon_id: &str,
    request_id: Uuid,
) -> Result<Order, Status> {
    let message = proto::CompleteManualAddonRequest {
        order_id: order.id.clone(),
        addon_id: addon_id.to_owned(),
        request_id: request_id.to_string(),
    };
    let mut client = live.orders();
    let answer = client.complete_manual_addon(live.operator(message)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn what_people_deliver_is_shown_until_it_is_done(engine: Engine) {
    let live = Live::open(engine).await;
    let wanted = proto::CreateCheckoutSessionRequest {
        addon_ids: vec![ADDON.to_owned(), "extra-database".to_owned()],
        ..cart(Uuid::new_v4())
    };
    let order = live.buy_cart(wanted).await;
    let shown = |order: &Order| {
        let addons = order.manual_addons.iter();
        addons
            .map(|addon| (addon.addon_id.clone(), addon.done))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&order), [(ADDON.to_owned(), false)]);
    // What the server has by itself is nobody's to deliver.
    for none in ["extra-database", "no-such-addon"] {
        let refused = complete(&live, &order, none, Uuid::new_v4()).await;
        let status = refused.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "ADDON_NOT_FOUND")
        );
    }
    let request_id = Uuid::new_v4();
    for _ in 0..2 {
        let done = complete(&live, &order, ADDON, request_id).await.unwrap();
        assert_eq!(shown(&done), [(ADDON.to_owned(), true)]);
    }
    let changes = till::changes(&live, &order.id).await;
    let changes = changes.iter();
    let told = changes.filter(|change| change.what == "manual_addons");
    assert_eq!(told.count(), 1);
    live.close().await;
}

async fn nobody_delivers_what_is_not_paid(engine: Engine) {
    let live = Live::open(engine).await;
    let wanted = proto::CreateCheckoutSessionRequest {
        addon_ids: vec![ADDON.to_owned()],
        ..cart(Uuid::new_v4())
    };
    let order = live.reserve(wanted).await;
    let request_id = Uuid::new_v4();
    let status = complete(&live, &order, ADDON, request_id)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "ORDER_NOT_PAID")
    );
    live.pay(&order);
    live.wait_running(&order.id).await;
    // A refusal is not kept: the same call is made once it can be.
    let done = complete(&live, &order, ADDON, request_id).await.unwrap();
    assert!(done.manual_addons[0].done);
    live.close().await;
}
