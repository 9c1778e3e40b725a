//! Every step fails in every way, and is taken twice: generated from the list of steps.
//!
//! An undisturbed run of each scene counts the transactions of the step; each of them is
//! then a place where it is torn apart. A new kind of step does not compile here until a
//! scene reaches it, and fails while none does.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use spawnpoint::domain::step::StepKind;

use crate::support::{db::Engine, effort};

mod hand;
mod scene;
mod shop;
mod ways;

use scene::Scene;
use shop::LoopShop;
use ways::{Effect, Place, Way};

both_engines!(every_step_fails_in_every_way, every_step_is_taken_twice,);

/// Shops open at a time; most of their time is waiting.
const AT_ONCE: usize = 6;

/// What the steps of today come to where the most is at stake. It grows with them.
const LEAST_WAYS: usize = 112;

/// P-01, P-02, P-03, P-04, P-05, P-06, P-07: an error, a panic, a hang and the end of the
/// process, before a step, between what it did outside and what it stores, after it stored,
/// and after it, and of the process that follows it: the order ends as if nothing had happened,
/// and at rest after each way the audit finds nothing.
async fn every_step_fails_in_every_way(engine: Engine) {
    let shops = StepKind::ALL.iter().map(|kind| async move {
        let mut shop = LoopShop::open(engine, Arc::default()).await;
        let transactions = undisturbed(&mut shop, *kind).await;
        let ways = ways::of(transactions, effort::long());
        for way in &ways {
            shop.run(*kind, *way).await;
        }
        let (deaths, second) = dies_twice(&mut shop, *kind, transactions).await;
        shop.close().await;
        (ways.len(), deaths, second)
    });
    let run: Vec<(usize, usize, usize)> = stream::iter(shops)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let ways: usize = run.iter().map(|(ways, ..)| ways).sum();
    let first: usize = run.iter().map(|(_, first, _)| first).sum();
    let second: usize = run.iter().map(|(.., second)| second).sum();
    eprintln!("{engine:?}: {ways} ways in which steps failed");
    eprintln!("{engine:?}: {first} processes died, and {second} of those that followed");
    assert!(ways >= LEAST_WAYS, "{ways} ways: a step lost a transaction");
    // What was stored last needs no further step: there nothing is left to die of.
    assert!(second * 2 >= first, "{second} of {first}");
}

/// P-08: a step that is taken again on the facts it began with changes nothing.
async fn every_step_is_taken_twice(engine: Engine) {
    let mut shop = LoopShop::open(engine, Arc::default()).await;
    for kind in StepKind::ALL {
        if Scene::of(*kind).takes_days() {
            // What other scenes left unpaid would end in it as well.
            shop.close().await;
            shop = LoopShop::open(engine, Arc::default()).await;
        }
        shop.hand.repeat(*kind);
        let order_id = shop.play(*kind).await;
        assert_eq!(
            shop.hand.repeated(),
            Some(order_id),
            "{kind} was not taken twice"
        );
    }
    shop.close().await;
}

/// The process dies, and the next one dies in its first transaction. Tells in how many
/// places, and how often there was a next one to die.
async fn dies_twice(shop: &mut LoopShop, kind: StepKind, transactions: usize) -> (usize, usize) {
    let again = Way {
        place: Place::TxBegins(1),
        effect: Effect::Dies,
    };
    let mut places = Place::all(transactions);
    if !effort::long() {
        // Between the work and its store: where the most is at stake.
        places.retain(|place| *place == Place::TxBegins(transactions));
    }
    let (deaths, mut second) = (places.len(), 0);
    for place in places {
        let first = Way {
            place,
            effect: Effect::Dies,
        };
        second += usize::from(shop.run_twice(kind, first, again).await);
    }
    (deaths, second)
}

/// Counts the transactions of a step in undisturbed runs of its scene: those of the run that
/// had fewer. A run in which the panel's budget had to be asked for has one more, which the
/// next one need not have.
async fn undisturbed(shop: &mut LoopShop, kind: StepKind) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..2 {
        shop.hand.count(kind);
        shop.play(kind).await;
        fewest = fewest.min(shop.hand.counted());
    }
    assert!(fewest > 0, "the scene of {kind} does not reach it");
    fewest
}
