//! One reader against its seeds and a number of their mutations, on all cores; counts what
//! became of the inputs, and measures memory.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    thread,
};

use crate::{
    effort,
    mutate::{Mutator, Random},
};

/// How much a campaign may add to what the process has once all seeds were read.
const GROWTH_MAX_KIB: u64 = 50 << 10;

/// A reader and what is wanted of it.
pub struct Campaign {
    /// Names the folder of seeds and the dictionary.
    pub target: &'static str,
    /// Reads an input and tells what became of it.
    pub body: fn(&[u8]) -> &'static str,
    /// How many mutations.
    pub runs: u32,
    /// What must have become of some of them, or the inputs are too dull.
    pub outcomes: &'static [&'static str],
}

type Counts = BTreeMap<&'static str, u64>;

impl Campaign {
    /// Runs all of it; a panic of the reader saves the input and fails the test.
    pub fn run(&self) {
        let root = tests::root().join("fuzz");
        let seeds = files(&root.join("seeds").join(self.target));
        assert!(!seeds.is_empty(), "{} has no seeds", self.target);
        let words = dictionary(&root.join(format!("dictionaries/{}.dict", self.target)));
        let mut counts = Counts::new();
        for seed in &seeds {
            *counts.entry(self.guarded(seed)).or_default() += 1;
        }
        let before = memory("VmRSS");
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers = u32::try_from(workers.min(8)).unwrap_or(1);
        let first = effort::seed(1);
        thread::scope(|scope| {
            let (seeds, words) = (&seeds, &words);
            let each: Vec<_> = (0..workers)
                .map(|worker| {
                    let runs = self.runs / workers + u32::from(worker < self.runs % workers);
                    let random = Random::new(first + u64::from(worker));
                    scope.spawn(move || self.mutations(runs, Mutator::new(random, seeds, words)))
                })
                .collect();
            for worker in each {
                match worker.join() {
                    Ok(found) => {
                        for (word, count) in found {
                            *counts.entry(word).or_default() += count;
                        }
                    }
                    Err(panic) => {
                        eprintln!("{}: SPAWNPOINT_SEED={first} repeats it", self.target);
                        resume_unwind(panic);
                    }
                }
            }
        });
        let growth = memory("VmHWM").saturating_sub(before);
        let (target, runs) = (self.target, self.runs);
        eprintln!(
            "{target}: {} seeds, {runs} mutations from seed {first}, {growth} KiB more, {counts:?}",
            seeds.len()
        );
        for outcome in self.outcomes {
            assert!(counts.contains_key(outcome), "{target}: none was {outcome}");
        }
        assert!(growth < GROWTH_MAX_KIB, "{target}: {growth} KiB more");
    }

    fn mutations(&self, runs: u32, mut mutator: Mutator<'_>) -> Counts {
        let mut counts = Counts::new();
        for _ in 0..runs {
            let outcome = self.guarded(mutator.next());
            *counts.entry(outcome).or_default() += 1;
        }
        counts
    }

    /// Where the reader panics, the input is kept: `cargo fuzz run TARGET FILE` repeats it.
    fn guarded(&self, input: &[u8]) -> &'static str {
        catch_unwind(|| (self.body)(input)).unwrap_or_else(|panic| {
            let file = format!("{}-{:016x}", self.target, name_of(input));
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
            fs::write(&file, input).unwrap();
            eprintln!("{}: the input is in {}", self.target, file.display());
            resume_unwind(panic)
        })
    }
}

fn name_of(input: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    hasher.finish()
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The words of a dictionary in libFuzzer's form: one in quotes per line.
fn dictionary(file: &Path) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().map(str::trim);
    let words = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let words: Vec<Vec<u8>> = words.map(unquoted).collect();
    assert!(!words.is_empty(), "{} is empty", file.display());
    words
}

fn unquoted(line: &str) -> Vec<u8> {
    let quoted = line
        .split_once('"')
        .and_then(|(_, rest)| rest.strip_suffix('"'));
    let quoted = quoted.unwrap_or_else(|| panic!("no word in quotes: {line}"));
    let (mut word, mut rest) = (Vec::new(), quoted.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).unwrap();
                word.push(u8::from_str_radix(digits, 16).unwrap());
                after
            }
            (b'\\', [escaped, after @ ..]) => {
                word.push(*escaped);
                after
            }
            _ => {
                word.push(*first);
                tail
            }
        };
    }
    word
}

/// A figure of this process in KiB: `VmRSS` is what it has, `VmHWM` the most it ever had.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
