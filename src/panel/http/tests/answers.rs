//! Which answers are believed.

use super::*;

#[tokio::test]
async fn an_address_is_found_behind_a_neighbour_on_an_earlier_page() {
    let stand_in = StandIn::start(|request| match page_of(request) {
        1 => charged(
            200,
            list(
                &[
                    user(3, None, "malice@x.test"),
                    user(4, None, "alice@x.test.b"),
                ],
                1,
                2,
            ),
        ),
        page => charged(200, list(&[user(9, Some("u-9"), "Alice@X.test")], page, 2)),
    })
    .await;
    let found = client(settings(&stand_in))
        .user_by_email(" alice@x.test")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.id, found.external_id.as_deref()), (9, Some("u-9")));
    assert_eq!(stand_in.received().len(), 2);
}

#[tokio::test]
async fn a_search_ends_where_the_address_is_found() {
    let stand_in =
        StandIn::start(|_| charged(200, list(&[user(3, None, "alice@x.test")], 1, 50))).await;
    let found = client(settings(&stand_in))
        .user_by_email("alice@x.test")
        .await
        .unwrap();
    assert_eq!(found.unwrap().id, 3);
    assert_eq!(stand_in.received().len(), 1);
}

#[tokio::test]
async fn a_comma_does_not_make_two_searches_of_one() {
    let odd = "\"a,b\"@x.test";
    let stand_in = StandIn::start(move |_| {
        charged(
            200,
            list(&[user(3, None, "b\"@x.test"), user(4, None, odd)], 1, 1),
        )
    })
    .await;
    let panel = client(settings(&stand_in));
    assert_eq!(panel.user_by_email(odd).await.unwrap().unwrap().id, 4);
    assert!(stand_in.targets()[0].contains("filter%5Bemail%5D=b%22%40x.test&"));
    for nothing in ["", "  ", "a@x.test,"] {
        assert!(panel.user_by_email(nothing).await.unwrap().is_none());
    }
    assert_eq!(stand_in.received().len(), 1);
}

#[tokio::test]
async fn a_list_that_goes_in_circles_ends_in_an_error() {
    let stand_in = StandIn::start(|request| {
        charged(
            200,
            list(&[user(3, None, "malice@x.test")], page_of(request), 900),
        )
    })
    .await;
    let outcome = client(settings(&stand_in))
        .user_by_email("alice@x.test")
        .await;
    assert!(matches!(outcome, Err(Error::Garbage { .. })), "{outcome:?}");
    assert_eq!(stand_in.received().len(), 2);
}

#[tokio::test]
async fn nodes_are_gathered_from_all_pages() {
    let stand_in = StandIn::start(|request| {
        let page = page_of(request);
        let node = json!({"object": "node", "attributes": {"id": page, "uuid": "u", "name": "n",
            "fqdn": "f", "memory": 1, "disk": 2, "maintenance_mode": page == 2}});
        charged(200, list(&[node], page, 3))
    })
    .await;
    let nodes = client(settings(&stand_in)).nodes().await.unwrap();
    let nodes: Vec<_> = nodes
        .iter()
        .map(|node| (node.id, node.maintenance))
        .collect();
    assert_eq!(nodes, [(1, false), (2, true), (3, false)]);
}

/// P-19: whatever is promised about further pages, a walk ends: at the first page that
/// comes again, or at the thousandth.
#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    for (round, most) in [(1, 2), (7, 8), (u32::MAX, 1_000)] {
        let stand_in = StandIn::start(move |request| {
            let page = page_of(request);
            let node = json!({"object": "node", "attributes": {"id": page % round, "uuid": "u",
                "name": "n", "fqdn": "f", "memory": 1, "disk": 2}});
            charged(200, list(&[node], page, page + 1))
        })
        .await;
        let panel = client(settings(&stand_in));
        let outcome = panel.nodes().await.unwrap_err();
        assert!(matches!(outcome, Error::Garbage { .. }), "{outcome:?}");
        assert_eq!(stand_in.received().len(), most);
    }
}

#[tokio::test]
async fn another_spelling_of_an_external_id_is_another_object() {
    let stand_in = StandIn::start(|request| match request.target.contains("/users/") {
        true => charged(200, user(3, Some("U-1"), "e@x.test")),
        false => charged(200, server(7, "O-1")),
    })
    .await;
    let panel = client(settings(&stand_in));
    assert!(panel.user_by_external_id("u-1").await.unwrap().is_none());
    assert!(panel.server_by_external_id("o-1").await.unwrap().is_none());
}

#[tokio::test]
async fn an_answer_about_another_object_is_garbage() {
    let stand_in = StandIn::start(|request| match (request.method.as_str(), &request.target) {
        ("POST", target) if target.contains("/users") => charged(201, user(3, None, "e@x.test")),
        ("POST", _) => charged(201, server(7, "o-2")),
        ("PATCH", _) => charged(200, user(3, None, "e@x.test")),
        (_, target) if target.contains("/users") => charged(200, user(3, Some("u-1"), "e@x.test")),
        _ => charged(200, server(8, "o-1")),
    })
    .await;
    let panel = client(settings(&stand_in));
    let read = panel.user_by_external_id("u-1").await.unwrap().unwrap();
    for outcome in [
        panel.create_user(&new_user()).await.map(drop),
        panel
            .create_server(&new_server(), in_time())
            .await
            .map(drop),
        panel.set_user_external_id(&read, "u-1").await.map(drop),
        panel.update_user(&read).await.map(drop),
        panel.server(7).await.map(drop),
        panel.server_environment(7).await.map(drop),
        panel.servers(1).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::Garbage { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_update_is_believed_of_the_server_that_it_was_sent_to() {
    for (id, external_id, built, renamed) in [
        (7, "o-1", true, true),
        (8, "o-1", false, false),
        // Limits are no matter of whose server it is; details are.
        (7, "o-2", true, false),
    ] {
        let stand_in = StandIn::start(move |_| charged(200, server(id, external_id))).await;
        let panel = client(settings(&stand_in));
        for (outcome, done) in [
            (panel.set_build(7, &build()).await, built),
            (panel.set_details(7, &details()).await, renamed),
        ] {
            let garbage = matches!(outcome, Err(Error::Garbage { .. }));
            assert_eq!((outcome.is_ok(), garbage), (done, !done), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn an_update_that_is_refused_tells_why() {
    let taken = || {
        let meta = json!({"source_field": "external_id", "rule": "unique"});
        let each = json!({"code": "ValidationException", "status": "422", "meta": meta});
        charged(422, json!({"errors": [each]}))
    };
    let stand_in = StandIn::start(move |request| {
        match request.target.contains("/build") {
            // A default port that is not the server's own.
            true => error(400, "DisplayException"),
            false => taken(),
        }
    })
    .await;
    let panel = client(settings(&stand_in));
    let built = panel.set_build(7, &build()).await.unwrap_err();
    assert!(
        matches!(&built, Error::Rejected { status: 400, code, .. } if code == "DisplayException"),
        "{built:?}"
    );
    let renamed = panel.set_details(7, &details()).await.unwrap_err();
    assert!(renamed.violates("external_id", "unique"), "{renamed:?}");

    let gone = StandIn::start(|_| error(404, "NotFoundHttpException")).await;
    let panel = client(settings(&gone));
    let built = panel.set_build(7, &build()).await.unwrap_err();
    let renamed = panel.set_details(7, &details()).await.unwrap_err();
    assert_eq!((built, renamed), (Error::NotFound, Error::NotFound));
}

#[tokio::test]
async fn only_the_panels_own_404_means_that_there_is_nothing() {
    let gone = StandIn::start(|_| error(404, "NotFoundHttpException")).await;
    let panel = client(settings(&gone));
    assert!(panel.server(7).await.unwrap().is_none());
    assert!(panel.server_by_external_id("o-1").await.unwrap().is_none());
    assert!(panel.user_by_external_id("u-1").await.unwrap().is_none());
    assert!(panel.server_environment(7).await.unwrap().is_none());
    assert_eq!(panel.delete_server(7).await, Ok(()));
    assert_eq!(panel.delete_user(7).await, Ok(()));
    assert_eq!(panel.reinstall_server(7).await, Err(Error::NotFound));

    let body = json!({"errors": [{"code": "NotFoundHttpException", "status": "404"}]}).to_string();
    for body in [body, HTML.to_owned()] {
        let wrong = StandIn::start(move |_| Script::Answer(404, vec![], body.clone())).await;
        let panel = client(settings(&wrong));
        let nobody = not_done(Trouble::NotThePanel);
        assert_eq!(panel.server(7).await.unwrap_err(), nobody);
        assert_eq!(
            panel.server_by_external_id("o-1").await.unwrap_err(),
            nobody
        );
        assert_eq!(panel.delete_server(7).await.unwrap_err(), nobody);
    }
}

#[tokio::test]
async fn the_budget_learns_from_every_answer() {
    let stand_in = StandIn::start(|request| match request.target.as_str() {
        "/api/application/servers/1" => {
            let headers = [
                ("x-ratelimit-limit", "100"),
                ("X-RATELIMIT-REMAINING", "99"),
            ];
            Script::Answer(
                204,
                headers.map(|(k, v)| (k, v.to_owned())).into(),
                String::new(),
            )
        }
        "/api/application/servers/2" => {
            let wait = vec![
                ("retry-after", "54".to_owned()),
                ("x-ratelimit-limit", "x".to_owned()),
            ];
            Script::Answer(429, wait, HTML.to_owned())
        }
        "/api/application/servers/3" => error(429, "DaemonConnectionException"),
        _ => Script::Answer(401, vec![], HTML.to_owned()),
    })
    .await;
    let budget = Arc::new(Noted::default());
    let panel = client_with(settings(&stand_in), &budget);
    panel.delete_server(1).await.unwrap();
    let after = Duration::from_secs(54);
    assert_eq!(
        panel.delete_server(2).await,
        Err(Error::RateLimited { after })
    );
    assert_eq!(panel.delete_server(3).await, Err(not_done(Trouble::Node)));
    panel.delete_server(4).await.unwrap_err();
    let told = RateSeen {
        limit: Some(100),
        remaining: Some(99),
        retry_after: None,
    };
    let waited = RateSeen {
        retry_after: Some(after),
        ..RateSeen::default()
    };
    let daemon = RateSeen {
        limit: Some(240),
        remaining: Some(17),
        retry_after: None,
    };
    assert_eq!(
        *budget.seen.lock().unwrap(),
        [told, waited, daemon, RateSeen::default()]
    );
}

#[tokio::test]
async fn secrets_of_a_server_are_read_without_the_panels_own() {
    let stand_in = StandIn::start(|_| charged(200, server(7, "o-1"))).await;
    let panel = client(settings(&stand_in));
    let environment = panel.server_environment(7).await.unwrap().unwrap();
    assert_eq!(
        environment,
        [("TOKEN".to_owned(), "geheim".to_owned())].into()
    );
}
