//! What a user may have, and what is left when they go.

use sandbox::panel::{Fault, FaultAction, ServerSeed};
use serde_json::Value;
use spawnpoint::rpc::proto;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{Wanted, at_stripe, profile, request, send, told};
use crate::support::{
    changes::rename,
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    sql, till, wait,
};

both_engines!(
    an_export_holds_all_of_one_user_and_no_secret,
    an_export_tells_of_disputes,
    nobody_is_deleted_who_still_has_something,
    what_was_deleted_is_gone_and_what_is_accounted_for_stays,
    an_account_with_servers_of_others_is_left,
    an_account_is_deleted_once_the_panel_is_back,
);

/// What nobody must find again.
const FIRST: &str = "Wilhelmina";
const LAST: &str = "Canaryson";
const SERVER: &str = "Wilhelmina\u{2019}s den";
const CHOSEN: &str = "canary-4711";

fn cart_of(user: Uuid) -> proto::CreateCheckoutSessionRequest {
    let chosen = [("MINECRAFT_VERSION".to_owned(), CHOSEN.to_owned())];
    proto::CreateCheckoutSessionRequest {
        first_name: FIRST.to_owned(),
        last_name: LAST.to_owned(),
        server_name: SERVER.to_owned(),
        environment: chosen.into(),
        ..cart(user)
    }
}

async fn export(live: &Live, user: Uuid) -> Value {
    let message = proto::ExportProfileRequest {
        user_id: user.to_string(),
    };
    let request = live.storefront(message, user);
    let answer = live.orders().export_profile(request).await.unwrap();
    serde_json::from_slice(&answer.into_inner().document).unwrap()
}

async fn delete(live: &Live, user: Uuid) -> Result<proto::Profile, Status> {
    let message = proto::DeleteProfileRequest {
        user_id: user.to_string(),
        request_id: String::new(),
    };
    let request = live.storefront(message, user);
    let answer = live.orders().delete_profile(request).await?;
    Ok(answer.into_inner().profile.unwrap())
}

fn assert_active(refused: Result<proto::Profile, Status>) {
    let status = refused.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "ORDER_ACTIVE")
    );
}

/// Has an operator end an order, and waits until nothing of it is left.
async fn end(live: &Live, order_id: &str) {
    let message = proto::TerminateServerRequest {
        order_id: order_id.to_owned(),
        note: format!("{FIRST} asked for it"),
        request_id: String::new(),
    };
    let request = live.operator(message);
    live.provisioning().terminate_server(request).await.unwrap();
    live.wait_order(order_id, "it is over", |order| {
        order.status() == proto::OrderStatus::Canceled
            && order.server_state() == proto::ServerState::Deleted
    })
    .await;
    wait::until("its room is given back", PATIENCE, || async {
        live.hold(order_id).await.is_none()
    })
    .await;
    till::delivered(live).await;
}

async fn an_export_holds_all_of_one_user_and_no_secret(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy_cart(cart_of(user)).await;
    let open = proto::CreateCheckoutSessionRequest {
        server_name: "Second".to_owned(),
        ..cart_of(user)
    };
    let open = live.reserve(open).await;
    let others = live.buy(Uuid::new_v4()).await;
    let document = export(&live, user).await;
    assert_eq!(document["format"], "spawnpoint.profile/1");
    let told = &document["profile"];
    assert_eq!(told["user_id"], user.to_string());
    assert_eq!(told["email"], cart(user).email);
    assert_eq!(
        (&told["first_name"], &told["last_name"]),
        (&FIRST.into(), &LAST.into())
    );
    assert_eq!(told["stripe_customer_id"], order.stripe_customer_id);
    let account = live.panel_users(user).remove(0);
    assert_eq!(document["panel_account"]["pterodactyl_user_id"], account.id);
    assert_eq!(document["panel_account"]["origin"], "created");
    let orders = document["orders"].as_array().unwrap();
    let ids: Vec<_> = orders.iter().map(|order| order["id"].as_str()).collect();
    assert_eq!(ids, [Some(open.id.as_str()), Some(order.id.as_str())]);
    let bought = &orders[1];
    assert_eq!(bought["server_name"], SERVER);
    assert_eq!(bought["price"]["amount_minor"], 699);
    assert_eq!(bought["lenience"]["retention_seconds"], 7 * 24 * 3600);
    assert_eq!(
        bought["environment_names"],
        serde_json::json!(["MINECRAFT_VERSION"])
    );
    assert_eq!(
        bought["billing"]["stripe_checkout_session_id"],
        order.stripe_checkout_session_id
    );
    assert_eq!(bought["billing"]["payment_status"], "paid");
    assert_eq!(
        bought["server"]["pterodactyl_server_id"],
        order.pterodactyl_server_id
    );
    let events = live.events(&order.id).await;
    assert_eq!(bought["events"].as_array().unwrap().len(), events.len());
    assert!(!bought["stripe_events"].as_array().unwrap().is_empty());

    let text = document.to_string();
    let made = live.made(&order.id).environment;
    let mut secrets = vec![
        CHOSEN.to_owned(),
        live.world.tokens.storefront.clone(),
        live.world.stripe.secret_key(),
        others.id,
        others.stripe_customer_id,
    ];
    secrets.extend(live.world.stripe.sessions().into_iter().map(|one| one.url));
    let names = sql::texts(
        &live.store.db,
        "SELECT CAST(secret_variables AS text) FROM games",
    )
    .await;
    for names in names {
        let names: Vec<String> = serde_json::from_str(&names).unwrap();
        secrets.extend(names.iter().filter_map(|name| made.get(name).cloned()));
    }
    for secret in secrets.iter().filter(|secret| secret.len() >= 8) {
        assert!(!text.contains(secret.as_str()), "{secret} is in it");
    }
    live.close().await;
}

async fn an_export_tells_of_disputes(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy(user).await;
    let own = live.subscription(&order);
    let stripe = &live.world.stripe;
    let dispute = stripe.open_dispute(&own, "fraudulent").unwrap();
    live.wait_order(&order.id, "it stands still", |order| {
        order.server_state() == proto::ServerState::Suspended
    })
    .await;
    let document = export(&live, user).await;
    let disputes = document["orders"][0]["disputes"].as_array().unwrap();
    assert_eq!(disputes.len(), 1);
    assert_eq!(disputes[0]["id"], dispute);
    assert_eq!(disputes[0]["status"], "needs_response");
    assert_eq!(disputes[0]["amount_minor"], 699);
    assert!(
        disputes[0]["invoice_id"]
            .as_str()
            .unwrap()
            .starts_with("in_")
    );
    live.close().await;
}

async fn nobody_is_deleted_who_still_has_something(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let unpaid = live.reserve(cart_of(user)).await;
    let before = profile(&live, user).await;
    assert_active(delete(&live, user).await);
    live.pay(&unpaid);
    live.wait_running(&unpaid.id).await;
    assert_active(delete(&live, user).await);
    assert_eq!(profile(&live, user).await, before);
    // Over, and its server is kept for a while.
    let message = proto::CancelOrderRequest {
        order_id: unpaid.id.clone(),
        ..proto::CancelOrderRequest::default()
    };
    let request = live.storefront(message, user);
    live.orders().cancel_order(request).await.unwrap();
    live.wait_order(&unpaid.id, "it is over", |order| {
        order.status() == proto::OrderStatus::Canceled
    })
    .await;
    assert_active(delete(&live, user).await);
    assert_eq!(live.made(&unpaid.id).name, SERVER);
    assert_eq!(live.panel_users(user).len(), 1);
    end(&live, &unpaid.id).await;
    delete(&live, user).await.unwrap();
    told(&live).await;
    live.close().await;
}

async fn what_was_deleted_is_gone_and_what_is_accounted_for_stays(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy_cart(cart_of(user)).await;
    let address = format!("{FIRST}@canary.example").to_lowercase();
    let wanted = Wanted {
        email: Some(&address),
        ..Wanted::default()
    };
    let change = proto::UpdateProfileRequest {
        request_id: Uuid::new_v4().to_string(),
        ..request(user, &wanted)
    };
    send(&live, user, change.clone()).await.unwrap();
    told(&live).await;
    rename(&live, &order.id, "Canaryson castle").await.unwrap();
    wait::until("the panel has the name", PATIENCE, || async {
        live.made(&order.id).name == "Canaryson castle"
    })
    .await;
    let ended = live.reserve(proto::CreateCheckoutSessionRequest {
        server_name: format!("{FIRST} never paid"),
        email: address.clone(),
        ..cart_of(user)
    });
    let ended = ended.await;
    let message = proto::CancelOrderRequest {
        order_id: ended.id.clone(),
        ..proto::CancelOrderRequest::default()
    };
    let request = live.storefront(message, user);
    live.orders().cancel_order(request).await.unwrap();
    wait::until("its room is given back", PATIENCE, || async {
        live.hold(&ended.id).await.is_none()
    })
    .await;
    end(&live, &order.id).await;
    let canaries = [
        FIRST,
        LAST,
        &address,
        &cart(user).email,
        "Canaryson castle",
        CHOSEN,
    ];
    for canary in [FIRST, address.as_str()] {
        assert!(!live.stored_in(canary).await.is_empty(), "{canary}");
    }

    let gone = delete(&live, user).await.unwrap();
    assert_eq!(gone.user_id, user.to_string());
    assert_eq!(
        (
            gone.email.as_str(),
            gone.first_name.as_str(),
            gone.last_name.as_str()
        ),
        ("", "", "")
    );
    assert!(gone.delete_time.is_some() && !gone.email_verified);
    for canary in canaries {
        let found = live.stored_in(canary).await;
        assert_eq!(found, Vec::<String>::new(), "{canary}");
    }
    told(&live).await;
    assert_eq!(live.panel_users(user), Vec::new(), "our account is gone");
    // What the shop has to account for.
    let kept = live.order(&order.id).await;
    assert_eq!(
        (
            &kept.plan_id,
            &kept.price,
            &kept.stripe_sub_id,
            kept.create_time
        ),
        (
            &order.plan_id,
            &order.price,
            &order.stripe_sub_id,
            order.create_time
        )
    );
    assert_eq!(kept.stripe_customer_id, gone.stripe_customer_id);
    assert_eq!(
        at_stripe(&live, user).await.0,
        address,
        "invoices are Stripe's to keep"
    );
    let document = export(&live, user).await.to_string();
    for canary in canaries {
        assert!(!document.contains(canary), "{canary}");
    }

    // Again, and a call that comes late: nothing comes back.
    assert_eq!(delete(&live, user).await.unwrap(), gone);
    assert_eq!(send(&live, user, change).await.unwrap(), gone);
    let late = send(&live, user, super::request(user, &wanted)).await;
    assert_eq!(reason(&late.unwrap_err()), "PROFILE_NOT_FOUND");

    // Whoever comes back begins anew, as the same customer.
    let order = live.buy_cart(cart(user)).await;
    told(&live).await;
    let back = profile(&live, user).await;
    assert_eq!((back.email, back.delete_time), (cart(user).email, None));
    assert_eq!(order.stripe_customer_id, gone.stripe_customer_id);
    assert_eq!(at_stripe(&live, user).await.0, cart(user).email);
    assert_eq!(live.panel_users(user).len(), 1);
    live.close().await;
}

async fn an_account_with_servers_of_others_is_left(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy_cart(cart_of(user)).await;
    let account = live.panel_users(user).remove(0);
    end(&live, &order.id).await;
    let free = live.ports(order.node_id, "free").await;
    let port = free.last().unwrap().pterodactyl_allocation_id;
    live.world.panel.seed_server(&ServerSeed {
        id: 9_001,
        external_id: None,
        uuid: None,
        name: "A gift".to_owned(),
        startup: None,
        status: None,
        user: account.id,
        egg: 39,
        allocation: port,
    });
    delete(&live, user).await.unwrap();
    told(&live).await;
    let shown = profile(&live, user).await;
    assert_eq!(shown.panel_problem, "HAS_SERVERS");
    assert_eq!(live.panel_users(user), std::slice::from_ref(&account));
    // Back again, the user has the same account.
    let order = live.buy_cart(cart(user)).await;
    told(&live).await;
    assert_eq!(live.made(&order.id).user, account.id);
    assert_eq!(profile(&live, user).await.panel_problem, "");
    assert_eq!(live.panel_users(user)[0].first_name, "Alex");
    live.close().await;
}

async fn an_account_is_deleted_once_the_panel_is_back(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let order = live.buy_cart(cart_of(user)).await;
    let old = live.panel_users(user).remove(0);
    end(&live, &order.id).await;
    let panel = &live.world.panel;
    let away = Fault::on_route("DELETE", "/users/{user}", FaultAction::Drop);
    let away = panel.inject(away);
    delete(&live, user).await.unwrap();
    wait::until("it was tried", PATIENCE, || async { panel.fired(away) > 0 }).await;
    // Back before the account is gone: nobody gets an account that is about to go.
    let order = live.purchase(cart(user)).await;
    live.wait_for_reason(&order.id, "PANEL_UNAVAILABLE").await;
    assert_eq!(live.creates(&order.id).len(), 0);
    panel.clear_faults();
    let order = live.wait_running(&order.id).await;
    let new = live.panel_users(user).remove(0);
    assert_ne!(new.id, old.id);
    assert_eq!(live.made(&order.id).user, new.id);
    // The answer is lost after the work: a look finds nothing more to do.
    end(&live, &order.id).await;
    let lost = Fault::on_route("DELETE", "/users/{user}", FaultAction::Drop);
    let lost = panel.inject(lost.after_work().times(1));
    let before = panel.count_route("DELETE", "/users/{user}");
    delete(&live, user).await.unwrap();
    told(&live).await;
    assert_eq!(panel.fired(lost), 1);
    assert_eq!(panel.count_route("DELETE", "/users/{user}"), before + 1);
    assert_eq!(live.panel_users(user), Vec::new());
    assert_eq!(profile(&live, user).await.panel_problem, "");
    live.close().await;
}
