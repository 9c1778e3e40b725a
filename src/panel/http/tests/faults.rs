//! Silence, half answers and answers of others, on the real client.

use super::*;

/// One call of each kind at once: a read, a create, an act on a server, a delete.
async fn four(panel: &HttpPanel) -> [Result<(), Error>; 4] {
    let server = new_server();
    let (read, create, act, delete) = tokio::join!(
        panel.server(7),
        panel.create_server(&server, in_time()),
        panel.reinstall_server(7),
        panel.delete_server(7),
    );
    [read.map(drop), create.map(drop), act, delete]
}

fn all_fail_with(read: Trouble, change: Trouble) -> [Result<(), Error>; 4] {
    let changed = || Err(unknown(change));
    [Err(not_done(read)), changed(), changed(), changed()]
}

#[tokio::test]
async fn silence_leaves_a_change_open_and_a_read_undone() {
    let stand_in = StandIn::start(|_| Script::Hang).await;
    let outcomes = four(&client(hasty(&stand_in))).await;
    assert_eq!(
        outcomes,
        all_fail_with(Trouble::NoAnswer, Trouble::NoAnswer)
    );
    assert_eq!(stand_in.received().len(), 4);
}

#[tokio::test]
async fn a_connection_that_breaks_is_not_tried_again() {
    let stand_in = StandIn::start(|_| Script::Raw(String::new())).await;
    let outcomes = four(&client(settings(&stand_in))).await;
    assert_eq!(
        outcomes,
        all_fail_with(Trouble::NoAnswer, Trouble::NoAnswer)
    );
    assert_eq!(stand_in.received().len(), 4);
}

/// The panel may wait for the node before it answers to new limits. Either may have been
/// written when the time is over.
#[tokio::test]
async fn new_limits_have_the_time_of_a_node_and_details_that_of_a_read() {
    let stand_in = StandIn::start(|_| Script::Hang).await;
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(600));
    let hasty_node = client(Settings {
        read_timeout: long,
        node_timeout: short,
        ..settings(&stand_in)
    });
    let hasty_read = client(Settings {
        read_timeout: short,
        node_timeout: long,
        ..settings(&stand_in)
    });
    let (build, details) = (build(), details());
    let both = async {
        tokio::join!(
            hasty_node.set_build(7, &build),
            hasty_read.set_details(7, &details),
        )
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), both).await;
    let (built, renamed) = ended.unwrap();
    assert_eq!(built.unwrap_err(), unknown(Trouble::NoAnswer));
    assert_eq!(renamed.unwrap_err(), unknown(Trouble::NoAnswer));
}

#[tokio::test]
async fn without_a_connection_nothing_was_done() {
    // Bound and never listening: nobody else gets the port, and it refuses.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}", taken.local_addr().unwrap());
    let panel = client(Settings::new(base.parse().unwrap(), key()));
    for outcome in four(&panel).await {
        assert_eq!(outcome, Err(not_done(Trouble::Unreachable)));
    }
}

/// P-29: the time-out is that of the whole call, so an answer of one byte now and then, in
/// its head or in its body, does not keep a call alive.
#[tokio::test]
async fn an_answer_that_drips_is_cut_off_by_the_time_of_the_whole_call() {
    let head = "HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n{";
    let stand_in = StandIn::start(move |request| match request.method.as_str() {
        "GET" => Script::Drip(head.replace("201 Created", "200 OK")),
        _ => Script::Drip(head.to_owned()),
    })
    .await;
    let began = std::time::Instant::now();
    let [read, create, act, delete] = four(&client(hasty(&stand_in))).await;
    assert_eq!(read, Err(not_done(Trouble::NoAnswer)));
    assert!(matches!(create, Err(Error::Garbage { .. })), "{create:?}");
    assert_eq!(act, Err(unknown(Trouble::NoAnswer)));
    assert_eq!(delete, Err(unknown(Trouble::NoAnswer)));
    // A head that never ends, too.
    let stand_in = StandIn::start(|_| Script::Drip("HTTP/1.1 200 OK\r\nX-Slow:".into())).await;
    assert_eq!(
        four(&client(hasty(&stand_in))).await,
        all_fail_with(Trouble::NoAnswer, Trouble::NoAnswer)
    );
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "the time-outs are 1 s"
    );
}

#[tokio::test]
async fn a_body_cut_after_its_status() {
    for (status, created) in [("201 Created", true), ("500 Oh", false), ("422 No", false)] {
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: 90\r\n\r\n{{\"object\":\"server\"");
        let stand_in = StandIn::start(move |_| Script::Raw(answer.clone())).await;
        let panel = client(settings(&stand_in));
        let outcome = panel
            .create_server(&new_server(), in_time())
            .await
            .unwrap_err();
        match created {
            true => assert!(matches!(outcome, Error::Garbage { .. }), "{outcome:?}"),
            false => assert_eq!(outcome, unknown(Trouble::NoAnswer)),
        }
        assert_eq!(
            panel.server(7).await.unwrap_err(),
            not_done(Trouble::NoAnswer)
        );
    }
}

/// P-16: what a proxy's page says of a call is its own kind of trouble.
#[tokio::test]
async fn a_proxys_error_page_may_hide_what_was_done() {
    for status in [502, 504, 520] {
        let stand_in = StandIn::start(move |_| Script::Answer(status, vec![], HTML.into())).await;
        let outcomes = four(&client(settings(&stand_in))).await;
        assert_eq!(
            outcomes,
            all_fail_with(Trouble::NotThePanel, Trouble::NotThePanel)
        );
    }
}

/// P-16: a page with a good status makes nobody believe that something was done, and how
/// it begins is logged, without line breaks or other control characters of its own.
#[tokio::test]
async fn a_page_with_a_good_status_is_no_success() {
    let stand_in = StandIn::start(|_| Script::Answer(200, vec![], HTML.into())).await;
    let [read, create, act, delete] = four(&client(settings(&stand_in))).await;
    assert_eq!(read, Err(not_done(Trouble::NotThePanel)));
    assert!(matches!(create, Err(Error::Garbage { .. })), "{create:?}");
    assert_eq!(act, Err(unknown(Trouble::NotThePanel)));
    assert_eq!(delete, Err(unknown(Trouble::NotThePanel)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let stand_in = StandIn::start(|_| {
        Script::Answer(
            302,
            vec![("Location", "/auth/login".to_owned())],
            HTML.into(),
        )
    })
    .await;
    for outcome in four(&client(settings(&stand_in))).await {
        assert_eq!(outcome, Err(not_done(Trouble::Redirected)));
    }
    assert!(
        stand_in
            .targets()
            .iter()
            .all(|target| target.starts_with("/api/application/servers"))
    );
}

#[tokio::test]
async fn a_node_that_fails_is_not_our_key_our_body_or_our_rate() {
    for status in [401, 404, 422, 429, 500, 504] {
        let stand_in = StandIn::start(move |_| error(status, "DaemonConnectionException")).await;
        for outcome in four(&client(settings(&stand_in))).await {
            assert_eq!(outcome, Err(not_done(Trouble::Node)), "{status}");
        }
    }
}

#[tokio::test]
async fn a_body_above_the_cap_is_not_read() {
    let big = "x".repeat(5_000);
    let told = format!("Content-Length: 5000\r\n\r\n{big}");
    let untold = format!("Transfer-Encoding: chunked\r\n\r\n1388\r\n{big}\r\n0\r\n\r\n");
    for rest in [told, untold] {
        let stand_in = StandIn::start(move |request| {
            let status = match request.method.as_str() {
                "GET" => "200 OK",
                "POST" => "201 Created",
                _ => "502 Bad Gateway",
            };
            Script::Raw(format!("HTTP/1.1 {status}\r\n{rest}"))
        })
        .await;
        let panel = client(Settings {
            body_max: 1_000,
            ..settings(&stand_in)
        });
        let too_long = Error::Garbage {
            what: "body above 1000 bytes".to_owned(),
        };
        assert_eq!(panel.server(7).await.unwrap_err(), too_long);
        assert_eq!(
            panel
                .create_server(&new_server(), in_time())
                .await
                .unwrap_err(),
            too_long
        );
        assert_eq!(
            panel.delete_server(7).await,
            Err(unknown(Trouble::NotThePanel))
        );
    }
}
