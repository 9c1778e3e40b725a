//! What Stripe refuses, and how it says so.

use reqwest::Method;

use crate::support::{START, Shop, cart, cart_with, read};

const SESSIONS: &str = "/v1/checkout/sessions";

#[tokio::test]
async fn bad_carts_are_refused_with_the_parameter_named() {
    let shop = Shop::open().await;
    let soon = format!("{}", START + 1799);
    let late = format!("{}", START + 86_401);
    let long = "x".repeat(201);
    let value = "x".repeat(501);
    let key = format!("metadata[{}]", "k".repeat(41));
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: &[Case] = &[
        (&[("surprise", "1")], "parameter_unknown", "surprise"),
        (
            &[("line_items[0][prize]", "x")],
            "parameter_unknown",
            "line_items[0][prize]",
        ),
        (
            &[("line_items[0][price]", "price_none")],
            "resource_missing",
            "line_items[0][price]",
        ),
        (
            &[("line_items[0][price]", "price_old")],
            "",
            "line_items[0][price]",
        ),
        (
            &[("line_items[0][quantity]", "many")],
            "parameter_invalid_integer",
            "line_items[0][quantity]",
        ),
        (
            &[("line_items[0][quantity]", "0")],
            "parameter_invalid_integer",
            "line_items[0][quantity]",
        ),
        (
            &[("line_items[1][price]", "price_addon")],
            "parameter_missing",
            "line_items[1][quantity]",
        ),
        (
            &[
                ("line_items[1][price]", "price_half"),
                ("line_items[1][quantity]", "1"),
            ],
            "",
            "line_items",
        ),
        (
            &[
                ("line_items[1][price]", "price_euro"),
                ("line_items[1][quantity]", "1"),
            ],
            "",
            "line_items",
        ),
        (&[("line_items[0][price]", "price_setup")], "", "line_items"),
        (
            &[("success_url", "not a url")],
            "url_invalid",
            "success_url",
        ),
        (
            &[("success_url", "javascript:alert(1)")],
            "url_invalid",
            "success_url",
        ),
        (&[("cancel_url", "/cart")], "url_invalid", "cancel_url"),
        (
            &[("customer", "cus_1"), ("customer_email", "a@example.com")],
            "",
            "customer_email",
        ),
        (&[("customer", "cus_none")], "resource_missing", "customer"),
        (
            &[("customer_email", "nobody")],
            "email_invalid",
            "customer_email",
        ),
        (&[("expires_at", &soon)], "", "expires_at"),
        (&[("expires_at", &late)], "", "expires_at"),
        (&[("client_reference_id", &long)], "", "client_reference_id"),
        (&[("metadata[order_id]", &value)], "", "metadata[order_id]"),
        (&[(&key, "x")], "", &key),
        (&[("metadata[a[b]]", "x")], "", "metadata[a[b]]"),
        (
            &[("client_reference_id", "")],
            "parameter_invalid_empty",
            "client_reference_id",
        ),
        (&[("mode", "subscribe")], "", "mode"),
        (&[("ui_mode", "hosted")], "", "ui_mode"),
        (
            &[("payment_method_types[0]", "gold")],
            "",
            "payment_method_types[0]",
        ),
        (
            &[("discounts[0][coupon]", "NONE")],
            "resource_missing",
            "discounts[0][coupon]",
        ),
        (
            &[("customer", "cus_1"), ("automatic_tax[enabled]", "true")],
            "customer_tax_location_invalid",
            "",
        ),
        (
            &[("subscription_data[trial_period_days]", "7")],
            "",
            "subscription_data[trial_period_days]",
        ),
    ];
    for (changes, code, param) in cases {
        let reply = shop.post(SESSIONS, &cart_with(changes)).await;
        assert_eq!(reply.status, 400, "{changes:?}: {}", reply.body);
        assert_eq!(reply.error("type"), "invalid_request_error");
        assert_eq!(
            (reply.error("code"), reply.error("param")),
            (*code, *param),
            "{changes:?}"
        );
        assert!(!reply.error("message").is_empty());
    }
    for name in ["mode", "success_url", "line_items"] {
        let mut form = cart();
        form.retain(|(key, _)| !key.starts_with(name));
        let reply = shop.post(SESSIONS, &form).await;
        assert_eq!(
            (reply.error("code"), reply.error("param")),
            ("parameter_missing", name)
        );
    }
    assert!(shop.stripe.sessions().is_empty());
}

#[tokio::test]
async fn the_limits_themselves_are_allowed() {
    let shop = Shop::open().await;
    let soonest = format!("{}", START + 1800);
    let form = cart_with(&[
        ("expires_at", &soonest),
        ("line_items[1][price]", "price_addon"),
        ("line_items[1][quantity]", "2"),
        ("line_items[2][price]", "price_setup"),
        ("line_items[2][quantity]", "1"),
        ("ui_mode", "hosted_page"),
        ("payment_method_types[0]", "card"),
        ("expand[]", "line_items"),
    ]);
    let reply = shop.post(SESSIONS, &form).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["amount_subtotal"], 1200 + 600 + 500);
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let rows = page["data"].as_array().unwrap().iter();
        rows.map(|row| row["price"]["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let sent = ["price_plan", "price_addon", "price_setup"];
    assert_eq!(ids(&reply.body["line_items"]), sent);
    let lines = shop
        .get(&format!("{SESSIONS}/{}/line_items?limit=2", reply.id()))
        .await;
    assert_eq!(ids(&lines.body), sent[..2]);
    assert_eq!(lines.body["has_more"], true);
    let bare = shop.get(&format!("{SESSIONS}/{}", reply.id())).await;
    assert!(
        bare.body.get("line_items").is_none(),
        "lines only come when asked for"
    );
    let wrong = shop
        .get(&format!("{SESSIONS}/{}?expand[]=lines", reply.id()))
        .await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn errors_name_the_request_and_the_page_that_explains_them() {
    let shop = Shop::open().await;
    let reply = shop.get("/v1/subscriptions/sub_none").await;
    assert_eq!(
        (reply.status, reply.error("code")),
        (404, "resource_missing")
    );
    assert!(reply.error("doc_url").ends_with("/resource-missing"));
    let id = reply.header("request-id").unwrap();
    assert!(id.starts_with("req_") && reply.error("request_log_url").ends_with(id));
    assert_eq!(shop.get("/v1/tea").await.status, 404);
    assert_eq!(
        read(shop.request(Method::DELETE, "/v1/prices/price_plan"))
            .await
            .status,
        404
    );
    let json = shop
        .request(Method::POST, "/v1/customers")
        .json(&serde_json::json!({"a": 1}));
    assert_eq!(read(json).await.status, 400);
    let version = shop.get_as("/v1/prices/price_plan", "yesterday").await;
    assert_eq!(version.status, 400);
}

#[tokio::test]
async fn a_key_is_needed_as_bearer_or_basic() {
    let shop = Shop::open().await;
    let url = format!("{}/v1/prices/price_plan", shop.stripe.url());
    let key = shop.stripe.secret_key();
    let without = read(shop.http.get(&url)).await;
    assert_eq!(
        (without.status, without.error("type")),
        (401, "invalid_request_error")
    );
    assert_eq!(
        read(shop.http.get(&url).bearer_auth("sk_test_wrong"))
            .await
            .status,
        401
    );
    assert_eq!(
        read(shop.http.get(&url).basic_auth(key, Some("")))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn prices_can_be_made_archived_and_listed() {
    let shop = Shop::open().await;
    let made = shop
        .post(
            "/v1/prices",
            &[
                ("currency", "usd"),
                ("product_data[name]", "Tea"),
                ("unit_amount", "700"),
                ("recurring[interval]", "year"),
            ],
        )
        .await;
    assert_eq!(made.body["recurring"]["interval"], "year");
    assert_eq!(made.body["recurring"]["usage_type"], "licensed");
    shop.post(&format!("/v1/prices/{}", made.id()), &[("active", "false")])
        .await;
    let archived = shop.get("/v1/prices?active=false").await;
    assert_eq!(archived.ids(), [made.id(), "price_old"]);
    let long = shop
        .post(
            "/v1/prices",
            &[
                ("currency", "usd"),
                ("product", "prod_1"),
                ("unit_amount", "1"),
                ("recurring[interval]", "month"),
                ("recurring[interval_count]", "37"),
            ],
        )
        .await;
    assert_eq!(long.error("param"), "recurring[interval_count]");
}
