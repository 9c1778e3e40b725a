//! What goes over the wire, and what does not.

use super::*;

fn lines(stand_in: &StandIn) -> Vec<String> {
    let received = stand_in.received();
    received
        .iter()
        .map(|r| format!("{} {}", r.method, r.target))
        .collect()
}

/// Answers every call with something that fits it.
fn obliging(request: &Received) -> Script {
    let path = request.target.split('?').next().unwrap();
    match (
        request.method.as_str(),
        path.trim_start_matches("/api/application"),
    ) {
        ("POST", "/users") => charged(201, user(3, Some("u-1"), "person@x.test")),
        ("DELETE", _) => charged(204, ""),
        (_, "/users") => charged(200, list(&[], 1, 1)),
        (_, path) if path.starts_with("/users/") => charged(200, user(3, Some("u-1"), "e@x.test")),
        ("POST", "/servers") => charged(201, server(7, "o-1")),
        ("POST", _) => charged(204, ""),
        (_, "/servers" | "/nodes" | "/nodes/5/allocations") => charged(200, list(&[], 1, 1)),
        (_, path) if path.starts_with("/servers/") => charged(200, server(7, "o-1")),
        _ => error(404, "NotFoundHttpException"),
    }
}

#[tokio::test]
async fn each_call_has_its_route() {
    let stand_in = StandIn::start(obliging).await;
    let panel = client(settings(&stand_in));
    panel.nodes().await.unwrap();
    panel.allocations(5, 1).await.unwrap();
    assert_eq!(panel.egg(1, 4).await.unwrap_err(), Error::NotFound);
    let user = panel.user_by_external_id("u-1").await.unwrap().unwrap();
    assert!(panel.user_by_email("a+b@x.test").await.unwrap().is_none());
    panel.create_user(&new_user()).await.unwrap();
    panel.set_user_external_id(&user, "u-1").await.unwrap();
    panel.update_user(&user).await.unwrap();
    panel.create_server(&new_server(), in_time()).await.unwrap();
    panel.server_by_external_id("o-1").await.unwrap().unwrap();
    panel.server(7).await.unwrap().unwrap();
    panel.servers(1).await.unwrap();
    panel.server_environment(7).await.unwrap().unwrap();
    panel.set_build(7, &build()).await.unwrap();
    panel.set_details(7, &details()).await.unwrap();
    panel.reinstall_server(7).await.unwrap();
    panel.delete_server(7).await.unwrap();
    panel.delete_user(3).await.unwrap();
    let api = "/api/application";
    let expected = [
        "GET /nodes?sort=id&per_page=100&page=1",
        "GET /nodes/5/allocations?per_page=1000&page=1",
        "GET /nests/1/eggs/4?include=variables",
        "GET /users/external/u-1",
        "GET /users?filter%5Bemail%5D=a%2Bb%40x.test&sort=id&per_page=100&page=1",
        "POST /users",
        "PATCH /users/3",
        "PATCH /users/3",
        "POST /servers?include=allocations",
        "GET /servers/external/o-1?include=allocations",
        "GET /servers/7?include=allocations",
        "GET /servers?sort=-id&per_page=1000&page=1",
        "GET /servers/7",
        "PATCH /servers/7/build?include=allocations",
        "PATCH /servers/7/details",
        "POST /servers/7/reinstall",
        "DELETE /servers/7",
        "DELETE /users/3",
    ];
    assert_eq!(
        lines(&stand_in),
        expected.map(|line| line.replacen('/', &format!("{api}/"), 1))
    );
}

#[tokio::test]
async fn every_request_asks_for_json_and_bodies_say_that_they_are() {
    let stand_in = StandIn::start(obliging).await;
    let panel = client(settings(&stand_in));
    panel.server(7).await.unwrap();
    panel.create_server(&new_server(), in_time()).await.unwrap();
    panel.create_user(&new_user()).await.unwrap();
    panel.set_build(7, &build()).await.unwrap();
    panel.set_details(7, &details()).await.unwrap();
    panel.reinstall_server(7).await.unwrap();
    for request in stand_in.received() {
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("authorization"), Some("Bearer ptla_geheim"));
        assert_eq!(request.header("cookie"), None);
        let json = (!request.body.is_empty()).then_some("application/json");
        assert_eq!(request.header("content-type"), json, "{}", request.target);
    }
    let sent: serde_json::Value = serde_json::from_slice(&stand_in.received()[1].body).unwrap();
    assert_eq!(
        sent["allocation"],
        json!({"default": 11, "additional": [12]})
    );
}

/// The panel clears what an update leaves out: an external id, a description.
#[tokio::test]
async fn an_update_of_a_server_leaves_nothing_out() {
    let stand_in = StandIn::start(obliging).await;
    let panel = client(settings(&stand_in));
    panel.set_build(7, &build()).await.unwrap();
    panel.set_details(7, &details()).await.unwrap();
    assert_eq!(
        lines(&stand_in),
        [
            "PATCH /api/application/servers/7/build?include=allocations",
            "PATCH /api/application/servers/7/details",
        ]
    );
    let sent: Vec<serde_json::Value> = stand_in
        .received()
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let limits = json!({"memory": 2048, "swap": -1, "disk": 4096, "io": 500, "cpu": 200});
    let features = json!({"databases": 1, "allocations": 2, "backups": 3});
    assert_eq!(
        sent,
        [
            json!({"allocation": 11, "limits": limits, "feature_limits": features}),
            json!({"name": "renamed", "user": 3, "external_id": "o-1", "description": ""}),
        ]
    );
}

#[tokio::test]
async fn the_key_is_read_anew_for_every_request() {
    let stand_in = StandIn::start(obliging).await;
    let reads = AtomicUsize::new(0);
    let key: KeySource =
        Arc::new(move || format!("key-{}\n", reads.fetch_add(1, Ordering::SeqCst)).into());
    let panel = client(Settings {
        key,
        ..settings(&stand_in)
    });
    panel.server(7).await.unwrap();
    panel.server(7).await.unwrap();
    let keys: Vec<_> = stand_in
        .received()
        .iter()
        .map(|r| r.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["Bearer key-0", "Bearer key-1"]);
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_refused_here() {
    let stand_in = StandIn::start(obliging).await;
    for bad in ["", " \n", "a\nb", "ключ\u{7f}"] {
        let key: KeySource = Arc::new(move || bad.into());
        let panel = client(Settings {
            key,
            ..settings(&stand_in)
        });
        let outcome = panel
            .create_server(&new_server(), in_time())
            .await
            .unwrap_err();
        assert_eq!(outcome, not_done(Trouble::KeyRefused), "{bad:?}");
    }
    assert_eq!(stand_in.connections(), 0);
}

/// The rate budget is asked last, and may take its time.
#[tokio::test]
async fn a_create_that_comes_too_late_is_not_sent() {
    let stand_in = StandIn::start(obliging).await;
    let panel = client(settings(&stand_in));
    let past = Instant::now();
    let outcome = panel.create_server(&new_server(), past).await;
    let after = Duration::ZERO;
    assert_eq!(outcome.unwrap_err(), Error::RateLimited { after });
    assert_eq!(stand_in.connections(), 0);
}

#[tokio::test]
async fn an_id_that_the_panel_would_bend_is_not_sent() {
    let stand_in = StandIn::start(obliging).await;
    let panel = client(settings(&stand_in));
    let long = "a".repeat(192);
    for id in ["", ".", "..", "a/b", "a b", "A", "é", "a%2fb", &long] {
        let server = NewServer {
            external_id: id.into(),
            ..new_server()
        };
        let user = NewUser {
            external_id: id.into(),
            ..new_user()
        };
        let renamed = Details {
            external_id: id.into(),
            ..details()
        };
        for outcome in [
            panel.create_server(&server, in_time()).await.map(drop),
            panel.create_user(&user).await.map(drop),
            panel.set_details(7, &renamed).await.map(drop),
            panel.server_by_external_id(id).await.map(drop),
            panel.user_by_external_id(id).await.map(drop),
        ] {
            assert!(matches!(outcome, Err(Error::Rejected { .. })), "{id:?}");
        }
    }
    assert_eq!(stand_in.connections(), 0);
}

#[tokio::test]
async fn calls_share_a_connection() {
    let stand_in = StandIn::start(obliging).await;
    let panel = client(settings(&stand_in));
    for _ in 0..5 {
        panel.server(7).await.unwrap();
        panel.housekeeping().reinstall_server(7).await.unwrap();
    }
    assert_eq!(stand_in.received().len(), 10);
    // A connection may come back to the pool a moment after the next call looked for one.
    let connections = stand_in.connections();
    assert!(connections <= 3, "{connections}");
}

#[tokio::test]
async fn a_refusal_of_the_budget_sends_nothing() {
    let stand_in = StandIn::start(obliging).await;
    let after = Duration::from_secs(7);
    let budget = Arc::new(Noted {
        refuse: Some(after),
        ..Noted::default()
    });
    let panel = client_with(settings(&stand_in), &budget);
    let limited = Error::RateLimited { after };
    assert_eq!(
        panel
            .create_server(&new_server(), in_time())
            .await
            .unwrap_err(),
        limited
    );
    assert_eq!(panel.housekeeping().servers(1).await.unwrap_err(), limited);
    assert_eq!(
        *budget.takes.lock().unwrap(),
        [Class::Purchase, Class::Housekeeping]
    );
    assert!(budget.seen.lock().unwrap().is_empty());
    assert_eq!(stand_in.connections(), 0);
}

#[tokio::test]
async fn the_log_holds_no_values() {
    let stand_in = StandIn::start(|request| match request.method.as_str() {
        "GET" if !request.target.contains("lost") => {
            charged(200, list(&[user(3, None, "other@x.test")], 1, 1))
        }
        _ => Script::Raw(String::new()),
    })
    .await;
    let log = log::Log::default();
    // With a single subscriber, tracing would ask only the thread that met a line first.
    let _second = tracing::Dispatch::new(log::Log::default());
    let guard = tracing::subscriber::set_default(log.clone());
    let panel = client(settings(&stand_in));
    assert!(
        panel
            .user_by_email("person@x.test")
            .await
            .unwrap()
            .is_none()
    );
    panel.user_by_email("lost@x.test").await.unwrap_err();
    panel
        .create_server(&new_server(), in_time())
        .await
        .unwrap_err();
    drop(guard);
    let text = log.text();
    assert!(text.contains("path=\"/users\" status=200"), "{text}");
    assert!(
        text.contains("remaining=17") && text.contains("panel call unanswered"),
        "{text}"
    );
    for secret in ["geheim", "x.test", "o-1"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// P-16: whose page it was that answered, in one line of the log; JSON never, broken or not.
#[tokio::test]
async fn a_foreign_page_is_logged_by_how_it_begins() {
    let page = format!("\n<html>\u{1b}[2J\"<p>\u{e9}{}END", "x".repeat(500));
    let stand_in = StandIn::start(move |request| match request.method.as_str() {
        "GET" => Script::Answer(200, vec![], page.clone()),
        "DELETE" => Script::Answer(502, vec![], page.clone()),
        _ => charged(201, " {\"attributes\": \"geheim"),
    })
    .await;
    let log = log::Log::default();
    let _second = tracing::Dispatch::new(log::Log::default());
    let guard = tracing::subscriber::set_default(log.clone());
    let panel = client(settings(&stand_in));
    panel.server(7).await.unwrap_err();
    panel.delete_server(7).await.unwrap_err();
    panel
        .create_server(&new_server(), in_time())
        .await
        .unwrap_err();
    drop(guard);
    let text = log.text();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("not the panel's JSON"))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, status) in lines.iter().zip(["status=200", "status=502"]) {
        assert!(line.contains(status), "{line}");
        let begins = r#"begins=\n<html>\x1b[2J\"<p>\xc3\xa9xxx"#;
        assert!(line.contains(begins) && !line.contains("END"), "{line}");
    }
    assert!(!text.contains("geheim"), "{text}");
}
