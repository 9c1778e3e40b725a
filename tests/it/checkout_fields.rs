//! Bad fields of a cart, addresses beyond the shop, and a shop that does not sell yet.

use sandbox::{
    panel::{KeySpec, Panel, PanelConfig},
    world::SHOP_ORIGIN,
};
use spawnpoint::rpc::proto::CreateCheckoutSessionRequest;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::Live,
    refused::{assert_refused, case, plan},
    till,
};

both_engines!(
    every_bad_field_is_named_at_once,
    addresses_beyond_the_shop_are_refused,
    nothing_is_sold_before_the_panel_was_read,
);

async fn every_bad_field_is_named_at_once(engine: Engine) {
    let live = Live::open(engine).await;
    let bad = CreateCheckoutSessionRequest {
        request_id: "no uuid".to_owned(),
        user_id: Uuid::new_v4().to_string().to_uppercase(),
        email: "nobody".to_owned(),
        first_name: "a\u{7}".to_owned(),
        last_name: "x".repeat(101),
        plan_id: "MC 2GB".to_owned(),
        item_type: 77,
        term: 0,
        region: "us east".to_owned(),
        server_name: "two\nlines".to_owned(),
        addon_ids: vec![
            "extra-port".to_owned(),
            "extra-port".to_owned(),
            String::new(),
        ],
        environment: [
            ("bad name".to_owned(), String::new()),
            ("NUL".to_owned(), "\0".to_owned()),
        ]
        .into(),
        referral_code: "a b".to_owned(),
        success_url: "javascript:alert(1)".to_owned(),
        cancel_url: String::new(),
        email_verified: false,
    };
    let refused = case(bad, Code::InvalidArgument, "FIELD_INVALID", &[]);
    let status = assert_refused(&live, refused).await;
    assert_eq!(
        fields(&status),
        [
            "addon_ids[1]",
            "addon_ids[2]",
            "cancel_url",
            "email",
            "environment",
            "environment[NUL]",
            "first_name",
            "item_type",
            "last_name",
            "plan_id",
            "referral_code",
            "region",
            "request_id",
            "server_name",
            "success_url",
            "term",
            "user_id",
        ]
    );

    // Well-formed, but the egg does not let customers choose it.
    let chosen = CreateCheckoutSessionRequest {
        environment: [(
            "DL_PATH".to_owned(),
            "https://evil.example/x.jar".to_owned(),
        )]
        .into(),
        ..plan("mc-2gb")
    };
    let refused = case(chosen, Code::InvalidArgument, "FIELD_INVALID", &[]);
    let status = assert_refused(&live, refused).await;
    assert!(
        fields(&status)
            .iter()
            .all(|field| field.starts_with("environment"))
    );

    // A storefront buys for the user it names, and for nobody else.
    let before = till::made(&live).await;
    let request = live.storefront(plan("mc-2gb"), Uuid::new_v4());
    let status = live
        .orders()
        .create_checkout_session(request)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), fields(&status)),
        (Code::InvalidArgument, vec!["user_id".into()])
    );
    assert_eq!(till::made(&live).await, before);
    live.close().await;
}

/// The fields that a status names, sorted.
fn fields(status: &Status) -> Vec<String> {
    let request = status.get_details_bad_request().unwrap();
    let mut fields: Vec<String> = request
        .field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect();
    fields.sort_unstable();
    fields
}

/// Finding 48: the customer was sent back to whatever address the request named.
async fn addresses_beyond_the_shop_are_refused(engine: Engine) {
    let live = Live::open(engine).await;
    for text in [
        "https://evil.example/thanks".to_owned(),
        format!("{SHOP_ORIGIN}.evil.example/thanks"),
        format!("{SHOP_ORIGIN}:444/thanks"),
        format!("https://evil.example/?next={SHOP_ORIGIN}"),
        "http://shop.example/thanks".to_owned(),
    ] {
        for (field, cart) in [
            (
                "success_url",
                CreateCheckoutSessionRequest {
                    success_url: text.clone(),
                    ..plan("mc-2gb")
                },
            ),
            (
                "cancel_url",
                CreateCheckoutSessionRequest {
                    cancel_url: text.clone(),
                    ..plan("mc-2gb")
                },
            ),
        ] {
            let names = [("field", field)];
            let refused = case(cart, Code::InvalidArgument, "URL_NOT_ALLOWED", &names);
            assert_refused(&live, refused).await;
        }
    }
    live.close().await;
}

/// The catalog is there, the panel is not: sales wait for the first look at it.
async fn nothing_is_sold_before_the_panel_was_read(engine: Engine) {
    // A port that is free now, for a panel that is started later.
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = reserved.local_addr().unwrap();
    drop(reserved);
    let mut live = Live::open_unready(engine, |options| {
        options
            .variables
            .push(("PANEL_URL".to_owned(), format!("http://{addr}")));
    })
    .await;
    let refused = case(plan("mc-2gb"), Code::Unavailable, "WARMING_UP", &[]);
    let status = assert_refused(&live, refused).await;
    assert!(
        status
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .is_some()
    );
    assert_eq!(till::remaining(&live, "mc-2gb", "us-east").await, 0);

    let panel = Panel::start(PanelConfig::shop(), addr).await.unwrap();
    panel.add_key(KeySpec::application(live.world.panel.key(), 1));
    live.wait_until_sellable().await;
    let order = live.checkout(plan("mc-2gb")).await.unwrap().order.unwrap();
    live.pay(&order);
    live.wait_running(&order.id).await;
    assert!(panel.server(&order.id).is_some());
    // The panel that this shop has come to know.
    std::mem::replace(&mut live.world.panel, panel).stop().await;
    live.close().await;
}
