use std::cell::RefCell;
use std::sync::Arc;

use proptest::prelude::*;
use secrecy::SecretString;
use tokio::runtime::Builder;
use url::Url;

use super::*;
use crate::stripe::settings::fixed_key;

fn settings(drawn: f64) -> Settings {
    let base = Url::parse("https://api.stripe.com").unwrap();
    let mut settings = Settings::new(base, fixed_key(SecretString::from("sk_test_1")));
    settings.jitter = Arc::new(move || drawn);
    settings
}

fn unknown(status: u16) -> Failure {
    Failure::passing(Error::Unknown {
        status: Some(status),
        replayed: false,
        request_id: String::new(),
    })
}

fn limited() -> Failure {
    Failure::passing(Error::RateLimited {
        after: Duration::from_secs(9),
    })
}

fn unreachable_once() -> Failure {
    Failure::passing(Error::Unreachable(None))
}

fn cut() -> Failure {
    Failure::passing(Error::Garbage {
        what: "cut".to_owned(),
        request_id: String::new(),
    })
}

/// Milliseconds since the start at which each try began, and what came of it.
async fn play(settings: &Settings, changes: bool, script: Vec<Failure>) -> (Vec<u128>, Error) {
    let started = Instant::now();
    let script = RefCell::new(script.into_iter());
    let begun = RefCell::new(Vec::new());
    let result: Result<(), Error> = repeat(&Limits::new(settings), changes, |_| {
        begun.borrow_mut().push(started.elapsed().as_millis());
        let failure = script.borrow_mut().next().unwrap();
        async { Err(failure) }
    })
    .await;
    (begun.into_inner(), result.unwrap_err())
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_the_cap_between_half_and_whole() {
    let script = || (0..7).map(|_| unknown(500)).collect();
    for (drawn, expected) in [
        (0.0, [0, 250, 750, 1750, 3750, 6250, 8750]),
        (1.0, [0, 500, 1500, 3500, 7500, 12_500, 17_500]),
        (0.5, [0, 375, 1125, 2625, 5625, 9375, 13_125]),
        // A source that is broken is taken for the longest pause.
        (f64::NAN, [0, 500, 1500, 3500, 7500, 12_500, 17_500]),
        (7.0, [0, 500, 1500, 3500, 7500, 12_500, 17_500]),
    ] {
        let mut settings = settings(drawn);
        settings.attempts = 7;
        assert_eq!(play(&settings, true, script()).await.0, expected, "{drawn}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_bound_the_tries_and_a_final_failure_ends_them() {
    let mut settings = settings(1.0);
    assert_eq!(
        play(
            &settings,
            true,
            vec![unknown(500), unknown(500), unknown(500)]
        )
        .await
        .0
        .len(),
        3
    );
    let last = Failure::last(Error::NotFound {
        request_id: "req_1".to_owned(),
    });
    let (begun, error) = play(&settings, true, vec![unknown(503), last]).await;
    assert_eq!(begun, [0, 500]);
    assert!(matches!(error, Error::NotFound { .. }));
    settings.attempts = 1;
    assert_eq!(play(&settings, true, vec![limited()]).await.0, [0]);
}

#[tokio::test(start_paused = true)]
async fn what_stripe_asks_for_is_waited_for_unless_our_own_pause_is_longer() {
    let asked = |seconds| Failure {
        after: Some(Duration::from_secs(seconds)),
        ..limited()
    };
    let settings = settings(1.0);
    assert_eq!(
        play(&settings, true, vec![asked(3), asked(0), asked(0)])
            .await
            .0,
        [0, 3000, 4000]
    );
    // Nineteen seconds and one of room just fit into twenty.
    assert_eq!(
        play(&settings, true, vec![asked(19), limited()]).await.0,
        [0, 19_000]
    );
    assert_eq!(play(&settings, true, vec![asked(20)]).await.0, [0]);
}

#[tokio::test(start_paused = true)]
async fn more_than_a_minute_is_not_believed() {
    let mut settings = settings(1.0);
    settings.deadline = Duration::from_secs(100);
    settings.attempts = 2;
    let day = Failure {
        after: Some(Duration::from_secs(86_400)),
        ..limited()
    };
    assert_eq!(
        play(&settings, true, vec![day, limited()]).await.0,
        [0, 60_000]
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_try_gets_the_time_that_is_left() {
    let settings = settings(1.0);
    let tries = RefCell::new(Vec::new());
    let result: Result<(), Error> = repeat(&Limits::new(&settings), true, |attempt: Try| {
        tries
            .borrow_mut()
            .push((attempt.number, attempt.timeout.as_millis()));
        async move {
            tokio::time::sleep(attempt.timeout).await;
            Err(unknown(504))
        }
    })
    .await;
    assert!(result.is_err());
    assert_eq!(tries.into_inner(), [(1, 15_000), (2, 4500)]);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_doubt_outlives_an_answer_that_says_nothing_of_it() {
    let settings = settings(1.0);
    let is_doubt = |error: &Error| {
        matches!(
            error,
            Error::Unknown {
                status: Some(502),
                ..
            }
        )
    };
    for later in [unreachable_once as fn() -> Failure, limited] {
        let (_, error) = play(&settings, true, vec![unknown(502), later(), later()]).await;
        assert!(is_doubt(&error), "{error:?}");
        let (_, error) = play(&settings, true, vec![later(), unknown(502), later()]).await;
        assert!(is_doubt(&error), "{error:?}");
        let (_, error) = play(&settings, true, vec![cut(), later(), later()]).await;
        assert!(matches!(error, Error::Garbage { .. }), "{error:?}");
        let (_, error) = play(&settings, false, vec![unknown(502), later(), later()]).await;
        assert!(!is_doubt(&error), "a read leaves no doubt: {error:?}");
    }
    let (_, error) = play(
        &settings,
        true,
        vec![limited(), limited(), unreachable_once()],
    )
    .await;
    assert!(
        matches!(error, Error::Unreachable(None)),
        "nothing was ever taken: {error:?}"
    );
    let invalid = Error::Invalid {
        code: String::new(),
        param: String::new(),
        request_id: String::new(),
    };
    let (_, error) = play(&settings, true, vec![unknown(502), Failure::last(invalid)]).await;
    assert!(
        matches!(error, Error::Invalid { .. }),
        "a definite no is a no: {error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_on_a_later_try_is_the_answer() {
    let script = RefCell::new(vec![Ok(7), Err(unknown(500)), Err(unreachable_once())]);
    let result = repeat(&Limits::new(&settings(0.3)), true, |_| {
        let next = script.borrow_mut().pop().unwrap();
        async { next }
    })
    .await;
    assert_eq!(result.unwrap(), 7);
    assert!(script.borrow().is_empty());
}

proptest! {
    #[test]
    fn a_call_never_outlasts_its_deadline(
        took in proptest::collection::vec(0_u64..20_000, 8),
        asked in proptest::collection::vec(proptest::option::of(0_u64..90), 8),
        deadline in 1_u64..60_000,
        attempts in 1_u32..8,
        drawn in 0.0..1.0_f64,
    ) {
        let mut settings = settings(drawn);
        settings.deadline = Duration::from_millis(deadline);
        settings.attempts = attempts;
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let elapsed = runtime.block_on(async {
            let started = Instant::now();
            let result: Result<(), Error> = repeat(&Limits::new(&settings), true, |attempt: Try| {
                let at = attempt.number as usize - 1;
                let took = Duration::from_millis(took[at]).min(attempt.timeout);
                let after = asked[at].map(Duration::from_secs);
                async move {
                    tokio::time::sleep(took).await;
                    Err(Failure { after, ..unknown(503) })
                }
            })
            .await;
            assert!(result.is_err());
            started.elapsed()
        });
        // Tokio's timer rounds each sleep up to a millisecond.
        prop_assert!(elapsed <= settings.deadline + Duration::from_millis(16), "{elapsed:?}");
    }
}
