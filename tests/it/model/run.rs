//! Many stories, spread over threads; a story that ends badly is told again, shorter and
//! shorter, until nothing can be left out of it.

use std::{
    cell::Cell,
    io::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Instant,
};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tokio::runtime::{Builder, Runtime};

use crate::support::{db::Engine, effort, log_watch::ThreadLog};

use super::{
    op::{Op, story},
    play::Play,
    store::Template,
    tally::Tally,
    world::World,
};

/// How often a story that ended badly is told again to shorten it.
const SHRINKS: u32 = 150;

/// The log of every story of so many is searched: to write it at TRACE takes longer than the story.
const SEARCHED: u64 = 8;

/// Tells so many stories and says what they were made of.
pub(super) fn batch(engine: Engine, stories: u32) {
    let repeated = effort::repeated();
    let stories = if repeated { 1 } else { stories };
    let began = Instant::now();
    let runtime = standin_runtime();
    let template = Template::make(engine, &runtime);
    let next = AtomicU32::new(0);
    let total = Mutex::new(Tally::default());
    // Stories wait for answers more than they compute.
    let threads = 3 * thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let runtime = standin_runtime();
                loop {
                    let number = next.load(Ordering::Relaxed);
                    if number >= stories {
                        break;
                    }
                    let taken = next.compare_exchange(
                        number,
                        number + 1,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                    if taken.is_err() {
                        continue;
                    }
                    let told = tell(&runtime, &template, effort::seed(number), &next);
                    match told {
                        Ok(tally) => *lock(&total) += &tally,
                        Err(failure) => panic!("{failure}"),
                    }
                }
            });
        }
    });
    let total = lock(&total);
    let report = format!(
        "\nmodel: {stories} stories on {engine:?} in {:.0?}, seeds from {}\n{total}\n",
        began.elapsed(),
        effort::seed(0),
    );
    say(&report);
    let missing = total.missing(stories);
    assert!(repeated || missing.is_empty(), "too few: {missing:?}");
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Past the test runner's capture: the counts are the point, and a failure takes long to
/// be shortened.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn standin_runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// The story of one seed.
fn tell(
    runtime: &Runtime,
    template: &Template,
    seed: u64,
    next: &AtomicU32,
) -> Result<Tally, String> {
    let config = Config {
        cases: 1,
        max_shrink_iters: SHRINKS,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let tally = Mutex::new(Tally::default());
    let shortened = Cell::new(false);
    let outcome = TestRunner::new_with_rng(config, rng).run(&story(), |ops| {
        let played = play(runtime, template, seed, &ops);
        if let Err(failure) = &played
            && !shortened.replace(true)
        {
            // The other threads need not go on.
            next.store(u32::MAX, Ordering::Relaxed);
            say(&format!(
                "model: {seed} ended badly and is shortened now: {failure}\n"
            ));
        }
        played
            .map(|counted| *lock(&tally) = counted)
            .map_err(TestCaseError::fail)
    });
    outcome.map_err(|failure| format!("SPAWNPOINT_SEED={seed} tells it again.\n{failure}"))?;
    Ok(lock(&tally).clone())
}

fn play(runtime: &Runtime, template: &Template, seed: u64, ops: &[Op]) -> Result<Tally, String> {
    // A core writes on the thread that drives it, and nobody else does.
    let log = seed.is_multiple_of(SEARCHED).then(ThreadLog::begin);
    let mut play = Play {
        world: World::open(runtime, template, seed)?,
        seed,
        purchases: Vec::new(),
        stories: Default::default(),
        told: Default::default(),
        swept: Default::default(),
    };
    let mut played = ops.iter().try_for_each(|op| play.act(op));
    if played.is_ok() {
        played = play.come_to_rest();
    }
    if let (Ok(()), Some(log)) = (&played, log) {
        played = play.unsaid(log);
    }
    let tally = play.world.close();
    played.map(|()| tally)
}
