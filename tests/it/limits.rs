//! What is wrong with fields: all of them told at once, and values outside their range.

use prost_types::FieldMask;
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason, with_token},
    sql,
    wire::{Api, call, delimited},
};

both_engines!(
    a_cart_that_is_all_wrong_is_told_every_field_at_once,
    an_update_must_name_what_may_be_written,
    pages_and_enums_outside_their_range_are_refused,
    names_that_look_like_code_arrive_as_they_are,
);

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(reason(status), "FIELD_INVALID");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert!(
        violations
            .iter()
            .all(|violation| !violation.description.is_empty())
    );
    violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

async fn a_cart_that_is_all_wrong_is_told_every_field_at_once(engine: Engine) {
    let live = Live::open(engine).await;
    let wrong = proto::CreateCheckoutSessionRequest {
        request_id: "once".to_owned(),
        user_id: "me".to_owned(),
        email: "nobody".to_owned(),
        email_verified: true,
        first_name: "a\u{7}".to_owned(),
        last_name: "b".repeat(101),
        plan_id: "MC".to_owned(),
        item_type: 99,
        term: -1,
        region: "US East".to_owned(),
        server_name: "\u{202e}".to_owned(),
        addon_ids: vec!["Extra".to_owned(), "x".to_owned(), "x".to_owned()],
        environment: [
            ("1BAD".to_owned(), String::new()),
            ("A".to_owned(), "\0".to_owned()),
        ]
        .into(),
        referral_code: "has space".to_owned(),
        success_url: "javascript:alert(1)".to_owned(),
        cancel_url: "https://user:password@shop.example/".to_owned(),
    };
    let request = live.operator(wrong);
    let status = live
        .orders()
        .create_checkout_session(request)
        .await
        .unwrap_err();
    let wanted = [
        "request_id",
        "user_id",
        "email",
        "first_name",
        "last_name",
        "plan_id",
        "item_type",
        "term",
        "region",
        "server_name",
        "addon_ids[0]",
        "addon_ids[2]",
        "environment",
        "environment[A]",
        "referral_code",
        "success_url",
        "cancel_url",
    ];
    assert_eq!(fields(&status), wanted);
    // And an empty one is told all that is required.
    let request = live.operator(proto::CreateCheckoutSessionRequest::default());
    let status = live
        .orders()
        .create_checkout_session(request)
        .await
        .unwrap_err();
    let told = fields(&status);
    for field in [
        "request_id",
        "user_id",
        "email",
        "plan_id",
        "item_type",
        "term",
        "region",
    ] {
        assert!(
            told.iter().any(|other| other == field),
            "{field} of {told:?}"
        );
    }
    // More than can be told is cut, with the number of the rest.
    let crowd = proto::CreateCheckoutSessionRequest {
        environment: (0..60)
            .map(|n| (format!("V{n}"), "\0".to_owned()))
            .collect(),
        ..cart(Uuid::new_v4())
    };
    let status = live
        .orders()
        .create_checkout_session(live.operator(crowd))
        .await
        .unwrap_err();
    assert_eq!(fields(&status).len(), 25);
    assert_eq!(live.world.stripe.count("POST", "/v1/"), 0);
    assert_eq!(
        sql::count(&live.store.db, "SELECT count(*) FROM profiles").await,
        0
    );
    live.close().await;
}

async fn an_update_must_name_what_may_be_written(engine: Engine) {
    let live = Live::open(engine).await;
    let plan = proto::Plan {
        id: "mc-2gb".to_owned(),
        ..Default::default()
    };
    let get = live.operator(proto::GetPlanRequest {
        plan_id: plan.id.clone(),
    });
    let before = live.catalog().get_plan(get).await.unwrap().into_inner();
    let masks: [(&[&str], &[&str]); 4] = [
        (&[], &["update_mask"]),
        (&["nothing"], &["update_mask.paths[0]"]),
        (
            &["id", "display_name", "etag", "*", "prices.amount"],
            &[
                "update_mask.paths[0]",
                "update_mask.paths[2]",
                "update_mask.paths[3]",
                "update_mask.paths[4]",
            ],
        ),
        (&[""], &["update_mask.paths[0]"]),
    ];
    for (paths, wanted) in masks {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let request = proto::UpdatePlanRequest {
            plan: Some(plan.clone()),
            update_mask: Some(FieldMask { paths }),
            ..Default::default()
        };
        let status = live
            .catalog()
            .update_plan(live.operator(request))
            .await
            .unwrap_err();
        assert_eq!(fields(&status), wanted);
    }
    let request = proto::UpdatePlanRequest {
        plan: Some(plan.clone()),
        ..Default::default()
    };
    let status = live
        .catalog()
        .update_plan(live.operator(request))
        .await
        .unwrap_err();
    assert_eq!(fields(&status), ["update_mask"]);
    let empty = live.operator(proto::UpdatePlanRequest::default());
    let status = live.catalog().update_plan(empty).await.unwrap_err();
    assert_eq!(fields(&status), ["update_mask", "plan"]);
    let get = live.operator(proto::GetPlanRequest { plan_id: plan.id });
    assert_eq!(
        live.catalog().get_plan(get).await.unwrap().into_inner(),
        before
    );
    live.close().await;
}

async fn pages_and_enums_outside_their_range_are_refused(engine: Engine) {
    let live = Live::open(engine).await;
    let (api, channel) = (Api::read(), live.channel());
    let lists: Vec<_> = api
        .methods
        .iter()
        .filter(|method| api.field(method, "page_size").is_some())
        .collect();
    assert!(lists.len() >= 7, "{lists:?}");
    for method in lists {
        // A negative int32 is ten bytes on the wire.
        let number = api.field(method, "page_size").unwrap();
        let size = |size: i32| {
            let mut bytes = Vec::new();
            prost::encoding::int32::encode(number, &size, &mut bytes);
            for id in ["order_id", "user_id"] {
                if let Some(field) = api.field(method, id) {
                    bytes.extend(delimited(field, Uuid::new_v4().to_string().as_bytes()));
                }
            }
            if let Some(node) = api.field(method, "node_id") {
                prost::encoding::int32::encode(node, &1, &mut bytes);
            }
            with_token(bytes, &live.world.tokens.operator)
        };
        for negative in [-1, i32::MIN] {
            let status = call(&channel, &method.path, size(negative))
                .await
                .unwrap_err();
            assert_eq!(fields(&status), ["page_size"], "{}", method.label);
        }
        let huge = call(&channel, &method.path, size(i32::MAX)).await;
        let code = huge.err().map_or(Code::Ok, |status| status.code());
        assert!(
            matches!(code, Code::Ok | Code::NotFound),
            "{}: {code:?}",
            method.label
        );
    }
    for value in [-1, 7, i32::MAX] {
        let request = proto::ListOrdersRequest {
            status: value,
            ..Default::default()
        };
        let status = live
            .orders()
            .list_orders(live.operator(request))
            .await
            .unwrap_err();
        assert_eq!(fields(&status), ["status"]);
        let request = proto::ListPlansRequest {
            item_type: value,
            ..Default::default()
        };
        let status = live
            .catalog()
            .list_plans(live.operator(request))
            .await
            .unwrap_err();
        assert_eq!(fields(&status), ["item_type"]);
        let wrong = cart(Uuid::new_v4());
        let wrong = proto::CreateCheckoutSessionRequest {
            term: value,
            item_type: value,
            ..wrong
        };
        let status = live
            .orders()
            .create_checkout_session(live.operator(wrong))
            .await;
        assert_eq!(fields(&status.unwrap_err()), ["item_type", "term"]);
    }
    live.close().await;
}

async fn names_that_look_like_code_arrive_as_they_are(engine: Engine) {
    let live = Live::open(engine).await;
    let name = "Robert'); DROP TABLE orders;-- %_ \u{1f600} ${x} <b>".to_owned();
    assert!(name.chars().count() <= 64);
    let cart = proto::CreateCheckoutSessionRequest {
        server_name: name.clone(),
        first_name: "O'Neil \u{e9}\u{4e2d}".to_owned(),
        ..cart(Uuid::new_v4())
    };
    let order = live.checkout(cart).await.unwrap().order.unwrap();
    assert_eq!(order.server_name, name);
    live.pay(&order);
    live.wait_running(&order.id).await;
    assert_eq!(live.world.panel.server(&order.id).unwrap().name, name);
    live.close().await;
}
