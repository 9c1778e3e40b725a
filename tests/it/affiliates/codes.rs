//! One code a user, one user a code, and what a visit shows.

use super::*;

both_engines!(
    a_user_has_one_code_and_a_code_one_user,
    bad_codes_are_told_with_all_else_that_is_wrong,
    many_who_want_one_code_at_once,
    clicks_are_counted_and_show_a_stranger_nothing,
);

fn as_seen(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

async fn a_user_has_one_code_and_a_code_one_user(engine: Engine) {
    let live = Live::open(engine).await;
    let (user, other) = (known_user(&live).await, known_user(&live).await);
    let made = create(&live, user, "My-Code-1").await.unwrap();
    assert_eq!(
        (made.user_id.as_str(), made.code.as_str()),
        (user.to_string().as_str(), "my-code-1")
    );
    assert_eq!((made.clicks, made.signups, made.credits_cents), (0, 0, 0));
    // The same again, in whatever case, or none.
    for code in ["my-code-1", "MY-CODE-1", ""] {
        assert_eq!(create(&live, user, code).await.unwrap(), made, "{code}");
    }
    let another = create(&live, user, "my-code-2").await.unwrap_err();
    assert_eq!(
        as_seen(&another),
        (Code::AlreadyExists, "RESOURCE_EXISTS".to_owned())
    );
    for code in ["my-code-1", "MY-code-1"] {
        let taken = create(&live, other, code).await.unwrap_err();
        assert_eq!(
            as_seen(&taken),
            (Code::AlreadyExists, "CODE_TAKEN".to_owned())
        );
    }
    let generated = create(&live, other, "").await.unwrap();
    assert_eq!(generated.code.len(), 10);
    assert_eq!(affiliate(&live, other).await, generated);

    // Whom the checkout does not know has no address to be compared with.
    let unknown = create(&live, Uuid::new_v4(), "abc").await.unwrap_err();
    assert_eq!(
        as_seen(&unknown),
        (Code::NotFound, "PROFILE_NOT_FOUND".to_owned())
    );
    let message = CreateAffiliateRequest {
        user_id: user.to_string(),
        ..CreateAffiliateRequest::default()
    };
    let foreign = live.storefront(message, other);
    let foreign = live.orders().create_affiliate(foreign).await.unwrap_err();
    assert_eq!(
        as_seen(&foreign),
        (Code::InvalidArgument, "FIELD_INVALID".to_owned())
    );

    repeats(&live).await;
    assert_eq!(till::rows(&live, "affiliates").await, 3);
    live.close().await;
}

async fn repeats(live: &Live) {
    let user = known_user(live).await;
    let request_id = Uuid::new_v4().to_string();
    let ask = async |code: &str| {
        let message = CreateAffiliateRequest {
            user_id: user.to_string(),
            code: code.to_owned(),
            request_id: request_id.clone(),
        };
        let request = live.storefront(message, user);
        let answer = live.orders().create_affiliate(request).await?;
        Ok::<_, Status>(answer.into_inner().affiliate.unwrap())
    };
    let at_once = join_all((0..4).map(|_| ask(""))).await;
    let codes: Vec<String> = at_once.into_iter().map(|made| made.unwrap().code).collect();
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    let reused = ask("another").await.unwrap_err();
    assert_eq!(
        as_seen(&reused),
        (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned())
    );
}

async fn bad_codes_are_told_with_all_else_that_is_wrong(engine: Engine) {
    let live = Live::open(engine).await;
    let user = known_user(&live).await;
    for code in [
        "ab",
        "a b c",
        "a_b_c",
        "caf\u{E9}",
        "abc\0",
        &"a".repeat(33),
    ] {
        let message = CreateAffiliateRequest {
            user_id: user.to_string(),
            code: code.to_owned(),
            request_id: "one".to_owned(),
        };
        let request = live.storefront(message, user);
        let status = live.orders().create_affiliate(request).await.unwrap_err();
        assert_eq!(
            as_seen(&status),
            (Code::InvalidArgument, "FIELD_INVALID".to_owned())
        );
        let told = status.get_details_bad_request().unwrap();
        let fields = told.field_violations.iter().map(|one| one.field.as_str());
        let mut fields: Vec<&str> = fields.collect();
        fields.sort_unstable();
        assert_eq!(fields, ["code", "request_id"], "{code:?}");
    }
    let status = create(&live, user, "ab").await.unwrap_err();
    assert!(!status.message().contains("ab,"), "{status:?}");
    assert_eq!(till::rows(&live, "affiliates").await, 0);
    live.close().await;
}

async fn many_who_want_one_code_at_once(engine: Engine) {
    let live = Live::open(engine).await;
    let users = [(); 6].map(|()| known_user(&live));
    let users = join_all(users).await;
    let asked = users.iter().zip(["wanted", "Wanted"].into_iter().cycle());
    let answers = join_all(asked.map(|(user, code)| create(&live, *user, code))).await;
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(made, 1, "{answers:?}");
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(refused.clone().all(|status| reason(status) == "CODE_TAKEN"));
    assert_eq!(till::rows(&live, "affiliates").await, 1);
    live.close().await;
}

async fn click(live: &Live, request: Request<proto::RecordAffiliateClickRequest>) -> Affiliate {
    let answer = live.orders().record_affiliate_click(request).await;
    answer.unwrap().into_inner().affiliate.unwrap()
}

async fn clicks_are_counted_and_show_a_stranger_nothing(engine: Engine) {
    let live = Live::open(engine).await;
    let user = friend(&live).await;
    let message = |code: &str| proto::RecordAffiliateClickRequest {
        code: code.to_owned(),
    };
    let visitor = |code: &str| with_token(message(code), &live.world.tokens.storefront);
    let shown = join_all((0..20).map(|_| click(&live, visitor("Friend")))).await;
    let code_only = Affiliate {
        code: "friend".to_owned(),
        ..Affiliate::default()
    };
    assert!(shown.iter().all(|shown| *shown == code_only), "{shown:?}");
    assert_eq!(affiliate(&live, user).await.clicks, 20);

    let stranger = live.storefront(message("friend"), Uuid::new_v4());
    assert_eq!(click(&live, stranger).await, code_only);
    let own = click(&live, live.storefront(message("friend"), user)).await;
    assert_eq!(
        (own.user_id.as_str(), own.clicks),
        (user.to_string().as_str(), 22)
    );
    let operator = click(&live, live.operator(message("FRIEND"))).await;
    assert_eq!(operator.clicks, 23);
    let mut orders = live.orders();
    let nobody = orders.record_affiliate_click(visitor("nobody")).await;
    let nobody = nobody.unwrap_err();
    assert_eq!(
        as_seen(&nobody),
        (Code::NotFound, "AFFILIATE_NOT_FOUND".to_owned())
    );
    let bad = orders.record_affiliate_click(visitor("no body")).await;
    assert_eq!(reason(&bad.unwrap_err()), "FIELD_INVALID");
    // A counter that is full stays so, and refuses nobody.
    let full = "UPDATE affiliates SET clicks = 2147483647";
    sql::run(&live.store.db, full).await.unwrap();
    assert_eq!(click(&live, visitor("friend")).await, code_only);
    assert_eq!(affiliate(&live, user).await.clicks, i32::MAX);
    live.close().await;
}
