//! Profiles: what was changed reaches Stripe, and the panel where the account is ours; what was
//! deleted is gone, but for what the shop has to account for.

mod bad_input;
mod leaving;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use prost_types::FieldMask;
use sandbox::{
    panel::{Fault, FaultAction, UserSpec},
    stripe::{Effect, Fault as StripeFault},
};
use spawnpoint::{boot::Mode, rpc::proto};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    db::Engine,
    live::{Live, PATIENCE, cart, reason},
    postgres, sql, till, wait,
};

both_engines!(
    a_change_reaches_stripe_and_the_panel,
    a_repeat_changes_nothing_more,
    an_account_that_we_did_not_make_stays_as_it_is,
    what_is_told_while_stripe_is_away_is_told_later,
    an_answer_of_the_panel_that_is_lost_costs_a_look,
    what_is_refused_is_shown_and_stands_in_nobodys_way,
    an_address_that_a_checkout_tells_is_followed_too,
);

const CUSTOMERS: &str = "/v1/customers/";

/// What a test sets of a profile.
#[derive(Clone, Default)]
struct Wanted<'a> {
    email: Option<&'a str>,
    email_verified: Option<bool>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
}

fn request(user: Uuid, wanted: &Wanted<'_>) -> proto::UpdateProfileRequest {
    let named = [
        ("email", wanted.email.is_some()),
        ("email_verified", wanted.email_verified.is_some()),
        ("first_name", wanted.first_name.is_some()),
        ("last_name", wanted.last_name.is_some()),
    ];
    let paths = named.into_iter().filter(|(_, named)| *named);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    proto::UpdateProfileRequest {
        profile: Some(proto::Profile {
            user_id: user.to_string(),
            email: text(wanted.email),
            email_verified: wanted.email_verified.unwrap_or_default(),
            first_name: text(wanted.first_name),
            last_name: text(wanted.last_name),
            ..proto::Profile::default()
        }),
        update_mask: Some(FieldMask {
            paths: paths.map(|(path, _)| path.to_owned()).collect(),
        }),
        request_id: String::new(),
    }
}

async fn send(
    live: &Live,
    user: Uuid,
    message: proto::UpdateProfileRequest,
) -> Result<proto::Profile, Status> {
    let request = live.storefront(message, user);
    let answer = live.orders().update_profile(request).await?;
    Ok(answer.into_inner().profile.unwrap())
}

async fn update(live: &Live, user: Uuid, wanted: &Wanted<'_>) -> proto::Profile {
    send(live, user, request(user, wanted)).await.unwrap()
}

async fn profile(live: &Live, user: Uuid) -> proto::Profile {
    let user_id = user.to_string();
    let message = proto::GetProfileRequest { user_id };
    let answer = live.orders().get_profile(live.operator(message)).await;
    answer.unwrap().into_inner().profile.unwrap()
}

/// Address and name of a user's customer at Stripe.
async fn at_stripe(live: &Live, user: Uuid) -> (String, String) {
    let id = profile(live, user).await.stripe_customer_id;
    let customer = till::stripe_object(live, &format!("{CUSTOMERS}{id}")).await;
    let text = |name: &str| customer[name].as_str().unwrap_or_default().to_owned();
    (text("email"), text("name"))
}

/// Address and names of a user's account on the panel.
fn on_the_panel(live: &Live, user: Uuid) -> (String, String, String) {
    let account = live.panel_users(user).remove(0);
    (account.email, account.first_name, account.last_name)
}

/// Waits until nobody has anything more to be told.
async fn told(live: &Live) {
    wait::until("everybody is told", PATIENCE, || async {
        let waiting = "SELECT count(*) FROM profiles WHERE panel_leaving_id IS NOT NULL
            OR (stripe_follow_us IS NOT NULL AND stripe_problem = '')
            OR (panel_follow_us IS NOT NULL AND panel_problem = '')";
        sql::count(&live.store.db, waiting).await == 0
    })
    .await;
}

fn stripe_changes(live: &Live) -> usize {
    live.world.stripe.count("POST", CUSTOMERS)
}

fn panel_changes(live: &Live) -> usize {
    live.world.panel.count_route("PATCH", "/users/{user}")
}

async fn a_change_reaches_stripe_and_the_panel(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    live.buy(user).await;
    let before = live.panel_users(user).remove(0);
    let wanted = Wanted {
        email: Some("zoe@new.example"),
        first_name: Some("Zoë"),
        ..Wanted::default()
    };
    let changed = update(&live, user, &wanted).await;
    assert_eq!(
        (changed.email.as_str(), changed.first_name.as_str()),
        ("zoe@new.example", "Zoë")
    );
    assert_eq!(changed.last_name, "Miner", "what is not named stays");
    assert!(!changed.email_verified, "nobody said so of this one");
    told(&live).await;
    assert_eq!(
        at_stripe(&live, user).await,
        ("zoe@new.example".to_owned(), "Zoë Miner".to_owned())
    );
    let after = live.panel_users(user).remove(0);
    assert_eq!(
        (after.email.as_str(), after.first_name.as_str()),
        ("zoe@new.example", "Zoë")
    );
    assert_eq!(
        (after.id, &after.username, after.uuid, after.root_admin),
        (before.id, &before.username, before.uuid, false)
    );
    assert_eq!((stripe_changes(&live), panel_changes(&live)), (1, 1));

    // Whether it is verified is nobody else's business.
    let verified = Wanted {
        email_verified: Some(true),
        ..Wanted::default()
    };
    assert!(update(&live, user, &verified).await.email_verified);
    // Names that are taken back: Stripe forgets them, the panel wants some.
    let nameless = Wanted {
        first_name: Some(""),
        last_name: Some(""),
        ..Wanted::default()
    };
    update(&live, user, &nameless).await;
    told(&live).await;
    assert_eq!(
        at_stripe(&live, user).await,
        ("zoe@new.example".to_owned(), String::new())
    );
    assert_eq!(
        on_the_panel(&live, user),
        (
            "zoe@new.example".to_owned(),
            "Player".to_owned(),
            "One".to_owned()
        )
    );
    assert_eq!((stripe_changes(&live), panel_changes(&live)), (2, 2));
    // What changes nothing is told to nobody.
    update(&live, user, &nameless).await;
    told(&live).await;
    assert_eq!((stripe_changes(&live), panel_changes(&live)), (2, 2));
    let keys = till::stripe_calls(
        &live,
        "POST",
        &format!("{CUSTOMERS}{}", changed.stripe_customer_id),
    );
    let keys: BTreeSet<_> = keys.into_iter().map(|call| call.idempotency_key).collect();
    assert_eq!(keys.len(), 2, "each change has a key of its own");
    live.close().await;
}

async fn a_repeat_changes_nothing_more(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    live.buy(user).await;
    let first = proto::UpdateProfileRequest {
        request_id: Uuid::new_v4().to_string(),
        ..request(
            user,
            &Wanted {
                email: Some("one@new.example"),
                ..Wanted::default()
            },
        )
    };
    send(&live, user, first.clone()).await.unwrap();
    let second = Wanted {
        email: Some("two@new.example"),
        ..Wanted::default()
    };
    update(&live, user, &second).await;
    let repeated = send(&live, user, first.clone()).await.unwrap();
    assert_eq!(repeated.email, "two@new.example", "as it is now");
    let other = proto::UpdateProfileRequest {
        request_id: first.request_id.clone(),
        ..request(user, &second)
    };
    let refused = send(&live, user, other).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );
    told(&live).await;
    assert_eq!(at_stripe(&live, user).await.0, "two@new.example");
    assert_eq!(on_the_panel(&live, user).0, "two@new.example");
    live.close().await;
}

async fn an_account_that_we_did_not_make_stays_as_it_is(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let own = cart(user);
    live.world.panel.add_user(&UserSpec {
        email: own.email.clone(),
        username: "their-own".to_owned(),
        first_name: "Al".to_owned(),
        last_name: "Ready".to_owned(),
        external_id: None,
        root_admin: false,
    });
    live.buy_cart(own.clone()).await;
    let adopted = panel_changes(&live);
    let wanted = Wanted {
        email: Some("other@new.example"),
        ..Wanted::default()
    };
    update(&live, user, &wanted).await;
    told(&live).await;
    assert_eq!(at_stripe(&live, user).await.0, "other@new.example");
    assert_eq!(
        on_the_panel(&live, user),
        (own.email, "Al".to_owned(), "Ready".to_owned())
    );
    assert_eq!(panel_changes(&live), adopted);
    live.close().await;
}

async fn what_is_told_while_stripe_is_away_is_told_later(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    let old = live.buy(user).await;
    let stripe = &live.world.stripe;
    for (number, effect) in [
        Effect::DropBefore,
        Effect::RateLimited { retry_after: 1 },
        Effect::Status {
            status: 503,
            body: None,
        },
        // Kept under its key: another one has to be found.
        Effect::InternalError { after_work: false },
        Effect::DropAfter,
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{effect:?}");
        let away = stripe.inject(StripeFault::on("POST", CUSTOMERS, effect).always());
        let email = format!("away{number}@new.example");
        let wanted = Wanted {
            email: Some(&email),
            ..Wanted::default()
        };
        let changed = update(&live, user, &wanted).await;
        assert_eq!(changed.email, email, "{what}: nobody waits for Stripe");
        wait::until(
            "the panel is told, and Stripe was asked",
            PATIENCE,
            || async { stripe.fired(away) > 0 && on_the_panel(&live, user).0 == email },
        )
        .await;
        assert_eq!(profile(&live, user).await.stripe_problem, "", "{what}");
        stripe.clear_faults();
        told(&live).await;
        assert_eq!(at_stripe(&live, user).await.0, email, "{what}");
    }
    let calls = live.world.stripe.customers();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(old.stripe_customer_id, calls[0].id);
    live.close().await;
}

async fn an_answer_of_the_panel_that_is_lost_costs_a_look(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    live.buy(user).await;
    let panel = &live.world.panel;
    let lost = [
        FaultAction::Drop,
        FaultAction::HtmlPage { status: 502 },
        FaultAction::Garbage,
        FaultAction::Truncate,
    ];
    for (number, action) in lost.into_iter().enumerate() {
        let (what, before) = (format!("{action:?}"), panel_changes(&live));
        let fault = Fault::on_route("PATCH", "/users/{user}", action);
        let fault = panel.inject(fault.after_work().times(1));
        let email = format!("lost{number}@new.example");
        let wanted = Wanted {
            email: Some(&email),
            ..Wanted::default()
        };
        update(&live, user, &wanted).await;
        told(&live).await;
        assert_eq!(panel.fired(fault), 1, "{what}");
        assert_eq!(panel_changes(&live), before + 1, "{what}: a look tells");
        assert_eq!(on_the_panel(&live, user).0, email, "{what}");
    }
    assert_eq!(profile(&live, user).await.panel_problem, "");
    live.close().await;
}

async fn what_is_refused_is_shown_and_stands_in_nobodys_way(engine: Engine) {
    let live = Live::open(engine).await;
    let users = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    join_all(users.map(|user| live.buy(user))).await;
    let taken = live.world.panel.add_user(&UserSpec {
        email: "taken@new.example".to_owned(),
        username: "somebody".to_owned(),
        first_name: "Some".to_owned(),
        last_name: "Body".to_owned(),
        external_id: None,
        root_admin: false,
    });
    let refusal = serde_json::json!({"error": {"type": "invalid_request_error",
        "code": "email_invalid", "param": "email", "message": "Invalid email address"}});
    let action = FaultAction::Status {
        status: 400,
        body: refusal.to_string(),
        content_type: None,
        headers: Vec::new(),
    };
    let fault = Fault::on("POST", CUSTOMERS, action).containing("taken");
    let refused = live.world.stripe.inject(fault);
    for (user, email) in users.iter().zip(["taken", "free-one", "free-two"]) {
        let email = format!("{email}@new.example");
        let wanted = Wanted {
            email: Some(&email),
            ..Wanted::default()
        };
        update(&live, *user, &wanted).await;
    }
    told(&live).await;
    assert_eq!(live.world.stripe.fired(refused), 1, "asked once");
    for (user, email) in users.iter().zip(["", "free-one", "free-two"]).skip(1) {
        let email = format!("{email}@new.example");
        assert_eq!(at_stripe(&live, *user).await.0, email);
        assert_eq!(on_the_panel(&live, *user).0, email);
    }
    let shown = profile(&live, users[0]).await;
    assert_eq!(
        (shown.stripe_problem.as_str(), shown.panel_problem.as_str()),
        ("REFUSED", "REFUSED")
    );
    assert_eq!(
        shown.email, "taken@new.example",
        "it is the user's all the same"
    );
    // The wish stays, and is tried again when somebody says it again.
    live.world.stripe.clear_faults();
    let free = live.world.panel.users();
    let free = free.iter().find(|row| row.id == taken).unwrap();
    assert_eq!(free.email, "taken@new.example", "another's is left alone");
    let again = Wanted {
        email: Some("taken@new.example"),
        ..Wanted::default()
    };
    update(&live, users[0], &again).await;
    told(&live).await;
    let shown = profile(&live, users[0]).await;
    assert_eq!(
        (shown.stripe_problem.as_str(), shown.panel_problem.as_str()),
        ("", "REFUSED")
    );
    assert_eq!(at_stripe(&live, users[0]).await.0, "taken@new.example");
    let other = Wanted {
        email: Some("mine@new.example"),
        ..Wanted::default()
    };
    update(&live, users[0], &other).await;
    told(&live).await;
    assert_eq!(profile(&live, users[0]).await.panel_problem, "");
    assert_eq!(on_the_panel(&live, users[0]).0, "mine@new.example");
    live.close().await;
}

async fn an_address_that_a_checkout_tells_is_followed_too(engine: Engine) {
    let live = Live::open(engine).await;
    let user = Uuid::new_v4();
    live.buy(user).await;
    let moved = proto::CreateCheckoutSessionRequest {
        email: "moved@new.example".to_owned(),
        server_name: "Another world".to_owned(),
        ..cart(user)
    };
    live.reserve(moved).await;
    told(&live).await;
    assert_eq!(at_stripe(&live, user).await.0, "moved@new.example");
    assert_eq!(on_the_panel(&live, user).0, "moved@new.example");
    assert_eq!(live.world.stripe.customers().len(), 1);
    assert_eq!((stripe_changes(&live), panel_changes(&live)), (1, 1));
    live.close().await;
}

/// Whoever tells it, and however often: in the end all have what was said last.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_end_with_what_was_said_last() {
    if postgres::skipped() {
        return;
    }
    let mut live = Live::open(Engine::Postgres).await;
    live.world.start_core(Mode::All).await.unwrap();
    let users: Vec<Uuid> = (0..4).map(|_| Uuid::new_v4()).collect();
    join_all(users.iter().map(|user| live.buy(*user))).await;
    let lost = Fault::on_route("PATCH", "/users/{user}", FaultAction::Drop);
    let lost = live.world.panel.inject(lost.after_work().times(3));
    let away = StripeFault::on("POST", CUSTOMERS, Effect::DropAfter).times(3);
    let away = live.world.stripe.inject(away);
    for round in 0..6 {
        join_all(users.iter().map(|user| async {
            let email = format!("round{round}.{}@new.example", user.simple());
            let wanted = Wanted {
                email: Some(&email),
                ..Wanted::default()
            };
            update(&live, *user, &wanted).await
        }))
        .await;
    }
    told(&live).await;
    for user in &users {
        let email = format!("round5.{}@new.example", user.simple());
        assert_eq!(at_stripe(&live, *user).await.0, email);
        assert_eq!(on_the_panel(&live, *user).0, email);
        assert_eq!(live.panel_users(*user).len(), 1);
    }
    assert!(live.world.panel.fired(lost) > 0 && live.world.stripe.fired(away) > 0);
    assert_eq!(live.world.stripe.customers().len(), users.len());
    live.close().await;
}
