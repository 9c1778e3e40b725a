//! Whose objects a call may touch: another user's are answered exactly as absent ones.

use sandbox::{panel::UserSpec, world::SHOP_ORIGIN};
use spawnpoint::{app::authorize::RULES, rpc::proto};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, cart, reason, with_token},
    sql,
    wire::{Api, Method, call, delimited},
};

both_engines!(
    what_is_anothers_is_answered_as_absent,
    lists_show_ones_own_and_their_tokens_serve_nobody_else,
    nobody_buys_in_anothers_name,
    nobody_gets_a_panel_account_by_claiming_it,
);

/// A call as the storefront makes it for a user.
fn for_user(live: &Live, bytes: Vec<u8>, user: Uuid) -> Request<Vec<u8>> {
    let mut request = with_token(bytes, &live.world.tokens.storefront);
    request
        .metadata_mut()
        .insert("x-spawnpoint-user", user.to_string().parse().unwrap());
    request
}

/// All that a caller sees of a refusal, but for the id it asked for.
fn shape(status: &Status, id: &str) -> (Code, String, String) {
    let hide = |text: &str| text.replace(id, "<id>");
    let details = String::from_utf8_lossy(status.details()).into_owned();
    (status.code(), hide(status.message()), hide(&details))
}

/// User-scoped methods whose request has this field.
fn scoped<'a>(api: &'a Api, field: &str) -> Vec<(&'a Method, u32)> {
    let scoped = |method: &&Method| {
        RULES
            .iter()
            .any(|rule| rule.method == method.label && rule.user_scoped)
    };
    let methods = api.methods.iter().filter(scoped);
    methods
        .filter_map(|method| Some((method, api.field(method, field)?)))
        .collect()
}

/// What a method cannot do without, besides the id.
fn further(label: &str) -> Vec<u8> {
    match label {
        "OrderService/CreateBillingPortalSession" => {
            delimited(2, format!("{SHOP_ORIGIN}/account").as_bytes())
        }
        "OrderService/ChangePlan" => [
            delimited(2, b"mc-2gb"),
            delimited(4, Uuid::new_v4().to_string().as_bytes()),
        ]
        .concat(),
        // Its own name: what changes nothing is told to nobody.
        "OrderService/RenameServer" => delimited(2, b"Alex's world"),
        _ => Vec::new(),
    }
}

/// What an owner may do once, and then has nothing more to do anything with; or not with a
/// server that is still to be made.
const ENDS: [&str; 4] = [
    "ProvisioningService/ReinstallServer",
    "OrderService/CancelOrder",
    "OrderService/ResumeOrder",
    "OrderService/ChangePlan",
];

/// Finding 38: endpoints took e-mail, user id or server id from the caller's body, and
/// showed other customers' servers.
async fn what_is_anothers_is_answered_as_absent(engine: Engine) {
    let live = Live::open(engine).await;
    let (api, channel) = (Api::read(), live.channel());
    let (owner, other) = (Uuid::new_v4(), Uuid::new_v4());
    let order = live.buy(owner).await;
    // The other has an order of its own, so that it is a user like any.
    live.checkout(cart(other)).await.unwrap();
    let looks = || live.world.panel.count_route("GET", "/servers/{server}");
    let events = format!(
        "SELECT count(*) FROM order_events WHERE order_id = {}",
        sql::id(&live.store.db, order.id.parse().unwrap())
    );
    let told = sql::count(&live.store.db, &events).await;
    let looked = looks();
    let methods = scoped(&api, "order_id");
    assert!(methods.len() >= 5, "{methods:?}");
    for (method, field) in methods {
        let ask = async |id: &str, user: Uuid| {
            let bytes = [delimited(field, id.as_bytes()), further(&method.label)].concat();
            call(&channel, &method.path, for_user(&live, bytes, user)).await
        };
        let absent = Uuid::new_v4().to_string();
        let anothers = ask(&order.id, other).await.expect_err(&method.label);
        let nothing = ask(&absent, other).await.expect_err(&method.label);
        assert_eq!(
            shape(&anothers, &order.id),
            shape(&nothing, &absent),
            "{}",
            method.label
        );
        assert_eq!(
            (anothers.code(), reason(&anothers).as_str()),
            (Code::NotFound, "ORDER_NOT_FOUND"),
            "{}",
            method.label
        );
        if method.label == "ProvisioningService/RevealServerSecrets" {
            assert_eq!(looks(), looked, "the panel was not even asked");
        }
        if !ENDS.contains(&method.label.as_str()) {
            assert!(ask(&order.id, owner).await.is_ok(), "{}", method.label);
        }
    }
    let noted = sql::count(&live.store.db, &events).await;
    assert_eq!(noted, told + 1, "the owner's own look at the secrets");

    profiles_of_others_are_absent(&live, &api, owner, other).await;
    anothers_affiliate(&live, &api, owner, other).await;
    live.close().await;
}

/// Whether a stranger is an affiliate is as unknown as what that earns.
async fn anothers_affiliate(live: &Live, api: &Api, owner: Uuid, other: Uuid) {
    let create = api.method("OrderService/CreateAffiliate");
    let bytes = delimited(1, owner.to_string().as_bytes());
    let made = call(&live.channel(), &create.path, for_user(live, bytes, owner)).await;
    assert!(made.is_ok());
    for label in [
        "OrderService/GetAffiliate",
        "OrderService/ListAffiliateCommissions",
    ] {
        let method = api.method(label);
        let ask = async |id: Uuid, user: Uuid| {
            let bytes = delimited(1, id.to_string().as_bytes());
            call(&live.channel(), &method.path, for_user(live, bytes, user)).await
        };
        let absent = Uuid::new_v4();
        let anothers = ask(owner, other).await.expect_err(label);
        let nothing = ask(absent, other).await.expect_err(label);
        assert_eq!(
            shape(&anothers, &owner.to_string()),
            shape(&nothing, &absent.to_string()),
            "{label}"
        );
        assert_eq!(reason(&anothers), "AFFILIATE_NOT_FOUND", "{label}");
        assert!(ask(owner, owner).await.is_ok(), "{label}");
    }
}

async fn profiles_of_others_are_absent(live: &Live, api: &Api, owner: Uuid, other: Uuid) {
    let channel = live.channel();
    for name in ["Get", "Update", "Export", "Delete"] {
        let profile = api.method(&format!("OrderService/{name}Profile"));
        let ask = async |id: Uuid, user: Uuid| {
            let id = delimited(1, id.to_string().as_bytes());
            let bytes = match name {
                // A profile with an address, and a mask that names it.
                "Update" => {
                    let email = delimited(2, format!("{user}@mail.example").as_bytes());
                    let mask = delimited(1, b"email");
                    [delimited(1, &[id, email].concat()), delimited(2, &mask)].concat()
                }
                _ => id,
            };
            call(&channel, &profile.path, for_user(live, bytes, user)).await
        };
        let absent = Uuid::new_v4();
        let anothers = ask(owner, other).await.unwrap_err();
        let nothing = ask(absent, other).await.unwrap_err();
        assert_eq!(
            shape(&anothers, &owner.to_string()),
            shape(&nothing, &absent.to_string()),
            "{name}"
        );
        assert_eq!(reason(&anothers), "PROFILE_NOT_FOUND", "{name}");
        match (name, ask(owner, owner).await) {
            ("Delete", refused) => assert_eq!(reason(&refused.unwrap_err()), "ORDER_ACTIVE"),
            (_, done) => assert!(done.is_ok(), "{name}: {done:?}"),
        }
    }
}

fn list(user_id: &str, page_size: i32, page_token: &str) -> proto::ListOrdersRequest {
    proto::ListOrdersRequest {
        user_id: user_id.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
        ..proto::ListOrdersRequest::default()
    }
}

async fn lists_show_ones_own_and_their_tokens_serve_nobody_else(engine: Engine) {
    let live = Live::open(engine).await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let mut orders = live.orders();
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for number in 0..2 {
        for (user, ids) in [(one, &mut ones), (other, &mut others)] {
            let server_name = format!("World {number}");
            let cart = proto::CreateCheckoutSessionRequest {
                server_name,
                ..cart(user)
            };
            ids.insert(0, live.checkout(cart).await.unwrap().order.unwrap().id);
        }
    }
    let ids = |answer: &proto::ListOrdersResponse| -> Vec<String> {
        answer.orders.iter().map(|order| order.id.clone()).collect()
    };
    for (user, mine) in [(one, &ones), (other, &others)] {
        for filter in [String::new(), user.to_string()] {
            let request = live.storefront(list(&filter, 0, ""), user);
            let answer = orders.list_orders(request).await.unwrap().into_inner();
            assert_eq!((&ids(&answer), answer.next_page_token.as_str()), (mine, ""));
        }
    }
    // Another's filter gives an empty list, as for a user without orders.
    let asked = live.storefront(list(&other.to_string(), 0, ""), one);
    assert_eq!(
        orders.list_orders(asked).await.unwrap().into_inner().orders,
        Vec::new()
    );
    let all = orders
        .list_orders(live.viewer(list("", 0, "")))
        .await
        .unwrap()
        .into_inner();
    let newest_first = [&others[0], &ones[0], &others[1], &ones[1]].map(String::as_str);
    assert_eq!(ids(&all), newest_first);

    let page = orders
        .list_orders(live.storefront(list("", 1, ""), one))
        .await
        .unwrap();
    let token = page.into_inner().next_page_token;
    let next = orders
        .list_orders(live.storefront(list("", 1, &token), one))
        .await
        .unwrap();
    assert_eq!(ids(&next.into_inner()), ones[1..]);
    let mut changed = token.clone().into_bytes();
    changed[0] = if changed[0] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let wrong = [
        live.storefront(list("", 1, &token), other),
        live.storefront(list(&one.to_string(), 1, &token), one),
        live.operator(list("", 1, &token)),
        live.viewer(list(&one.to_string(), 1, &token)),
        live.storefront(list("", 1, &changed), one),
        live.storefront(list("", 1, &token[1..]), one),
        live.storefront(list("", 1, &format!("{token}A")), one),
    ];
    for request in wrong {
        let status = orders.list_orders(request).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "PAGE_TOKEN_INVALID")
        );
    }
    live.close().await;
}

/// Finding 38, of the checkout: the user id in the body was believed.
async fn nobody_buys_in_anothers_name(engine: Engine) {
    let live = Live::open(engine).await;
    let (owner, other) = (Uuid::new_v4(), Uuid::new_v4());
    let request = live.storefront(cart(owner), other);
    let status = live
        .orders()
        .create_checkout_session(request)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "FIELD_INVALID")
    );
    assert_eq!(live.world.stripe.count("POST", "/v1/"), 0);
    for table in ["orders", "profiles", "holds", "request_keys"] {
        let rows = sql::count(&live.store.db, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(rows, 0, "{table}");
    }
    live.close().await;
}

/// Finding 35: users linked themselves to any account of the panel, an administrator's
/// too, and got servers made under it.
async fn nobody_gets_a_panel_account_by_claiming_it(engine: Engine) {
    let live = Live::open(engine).await;
    // No request that a buyer may send names an account.
    let api = Api::read();
    for method in &api.methods {
        assert_eq!(
            api.field(method, "pterodactyl_user_id"),
            None,
            "{}",
            method.label
        );
    }
    let stranger = UserSpec {
        email: "stranger@players.example".to_owned(),
        username: "stranger".to_owned(),
        first_name: "Some".to_owned(),
        last_name: "One".to_owned(),
        external_id: None,
        root_admin: false,
    };
    let stranger_id = live.world.panel.add_user(&stranger);
    let users = live.world.panel.users();
    let admin = users.iter().find(|user| user.root_admin).unwrap();
    // The administrator's address, even verified; and a stranger's that is not.
    for (email, email_verified) in [(&admin.email, true), (&stranger.email, false)] {
        let email = email.clone();
        let cart = proto::CreateCheckoutSessionRequest {
            email,
            email_verified,
            ..cart(Uuid::new_v4())
        };
        let user_id = cart.user_id.clone();
        let order = live.checkout(cart).await.unwrap().order.unwrap();
        live.pay(&order);
        let parked = live
            .wait_order(&order.id, "the order parks", |order| {
                order.status() == proto::OrderStatus::Error
            })
            .await;
        assert_eq!(parked.error_reason, "PANEL_USER_UNRESOLVED");
        let message = proto::GetExternalAccountRequest { user_id };
        let account = live
            .provisioning()
            .get_external_account(live.viewer(message))
            .await;
        assert_eq!(reason(&account.unwrap_err()), "PANEL_USER_UNRESOLVED");
    }
    assert_eq!(live.world.panel.servers(), Vec::new());
    let linked = sql::count(&live.store.db, "SELECT count(*) FROM external_accounts").await;
    assert_eq!(linked, 0);
    let users = live.world.panel.users();
    let stranger = users.iter().find(|user| user.id == stranger_id).unwrap();
    assert_eq!(
        stranger.external_id, None,
        "nothing was written to the account"
    );
    live.close().await;
}
