//! Who gets in, and as whom.

use super::*;

const USER: &str = "0192f0c1-2f3a-7c4d-9e5f-0123456789ab";

async fn who(rig: &Rig, request: Request<proto::GetOrderRequest>) -> Result<proto::Order, Status> {
    let answer = rig.orders().await.get_order(request).await?;
    Ok(answer.into_inner().order.unwrap())
}

fn ask() -> proto::GetOrderRequest {
    proto::GetOrderRequest {
        order_id: "caller".to_owned(),
    }
}

#[tokio::test]
async fn every_role_is_found_and_only_a_storefront_names_a_user() {
    let rig = Rig::start().await;
    for role in [Role::Storefront, Role::Gateway, Role::Viewer] {
        let token = rig.token(role).await;
        let mut request = signed(ask(), &token);
        request
            .metadata_mut()
            .insert("x-spawnpoint-user", USER.parse().unwrap());
        let order = who(&rig, request).await.unwrap();
        assert_eq!(order.plan_id, role.as_str());
        let expected = if role == Role::Storefront { USER } else { "" };
        assert_eq!(order.user_id, expected, "{role}");
    }
    let mut operator = rig.get("caller");
    operator
        .metadata_mut()
        .insert("x-spawnpoint-user", "not a uuid".parse().unwrap());
    assert_eq!(
        who(&rig, operator).await.unwrap().user_id,
        "",
        "ignored, whatever it says"
    );
}

#[tokio::test]
async fn a_storefronts_user_must_be_a_uuid() {
    let rig = Rig::start().await;
    let token = rig.token(Role::Storefront).await;
    for bad in ["me", &USER.to_uppercase(), ""] {
        let mut request = signed(ask(), &token);
        request
            .metadata_mut()
            .insert("x-spawnpoint-user", bad.parse().unwrap());
        let refused = who(&rig, request).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, "FIELD_INVALID");
        let fields = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!(fields[0].field, "x-spawnpoint-user");
    }
}

#[tokio::test]
async fn every_failure_has_the_same_answer() {
    let rig = Rig::start().await;
    let revoked = rig.token(Role::Viewer).await;
    assert!(tokens::revoke(&rig.db, "viewer").await.unwrap());
    let unknown = format!("spt_{}", "A".repeat(43));
    let headers: Vec<Vec<String>> = vec![
        vec![],
        vec![String::new()],
        vec!["Bearer".to_owned()],
        vec![format!("Basic {}", rig.token)],
        vec![rig.token.clone()],
        vec![format!("Bearer {unknown}")],
        vec![format!("Bearer {revoked}")],
        vec![format!("Bearer {}x", rig.token)],
        vec![format!("Bearer  {}", rig.token)],
        vec![format!("Bearer {}", rig.token); 2],
        vec![format!("Bearer {}", "A".repeat(8 << 10))],
    ];
    let mut seen = Vec::new();
    for values in headers {
        let mut request = Request::new(ask());
        for value in &values {
            request
                .metadata_mut()
                .append("authorization", value.parse().unwrap());
        }
        let refused = who(&rig, request).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, "UNAUTHENTICATED_TOKEN");
        seen.push((refused.message().to_owned(), refused.details().to_owned()));
    }
    let storefront = rig.token(Role::Storefront).await;
    assert!(who(&rig, signed(ask(), &storefront)).await.is_ok());
    rig.db.shift_clock(24 * 3600 * domain::SECOND_US);
    let expired = who(&rig, signed(ask(), &storefront)).await.unwrap_err();
    seen.push((expired.message().to_owned(), expired.details().to_owned()));
    seen.dedup();
    assert_eq!(seen.len(), 1, "one text for all of them: {seen:?}");
}

#[tokio::test]
async fn a_header_of_a_megabyte_never_reaches_us() {
    let rig = Rig::start().await;
    let mut request = Request::new(ask());
    let huge = format!("Bearer spt_{}", "A".repeat(1 << 20));
    request
        .metadata_mut()
        .insert("authorization", huge.parse().unwrap());
    assert!(soon(who(&rig, request)).await.is_err());
    assert!(
        soon(who(&rig, rig.get("caller"))).await.is_ok(),
        "others are served on"
    );
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_methods() {
    let rig = Rig::start().await;
    let mut client = proto::catalog_service_client::CatalogServiceClient::new(rig.channel().await);
    let ask = || proto::GetPlanRequest {
        plan_id: "a".to_owned(),
    };
    let refused = client.get_plan(ask()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    // With a token: this rig does not serve the catalog.
    let refused = client.get_plan(rig.signed(ask())).await.unwrap_err();
    assert_refused(&refused, Code::Unimplemented, "UNIMPLEMENTED");
}

#[tokio::test]
async fn a_trace_is_continued_and_named_in_errors() {
    let rig = Rig::start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = |mut request: Request<proto::GetOrderRequest>| {
        let header = format!("00-{trace}-00f067aa0ba902b7-01");
        request
            .metadata_mut()
            .insert("traceparent", header.parse().unwrap());
        request
    };
    assert_eq!(
        who(&rig, traced(rig.get("caller"))).await.unwrap().id,
        trace
    );
    let refused = who(&rig, traced(rig.get("nothing"))).await.unwrap_err();
    assert_eq!(
        refused.metadata().get("x-spawnpoint-trace-id").unwrap(),
        trace
    );
    assert_refused(&refused, Code::NotFound, "ORDER_NOT_FOUND");
    assert_eq!(
        who(&rig, rig.get("caller")).await.unwrap().id.len(),
        32,
        "else a new one"
    );
}
