//! I10: what the service and the gateway log in this process, at TRACE and through the very
//! layer that they log with, is searched for the secrets of each shop when it closes.

use std::{
    collections::VecDeque,
    io::Write,
    sync::{
        Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sandbox::audit::{Invariant, Violation};
use spawnpoint::telemetry::{self, Format};
use tracing::{
    Dispatch,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

/// All that is ours, at TRACE, and what libraries may write at all. The stand-ins play others'
/// machines: what they write is not ours.
const FILTER: &str = "info,spawnpoint=trace,gateway=trace,sandbox=off";
/// Enough of a finding to find its place; not the secret once more.
const SHOWN: usize = 200;

static WATCHED: Mutex<Watched> = Mutex::new(Watched {
    lines: VecDeque::new(),
    first: 0,
    shops: Vec::new(),
});

/// Lines since the oldest open shop opened.
struct Watched {
    lines: VecDeque<String>,
    /// Number of the first line that is kept.
    first: usize,
    /// Number of the shop, and of the first line since it opened.
    shops: Vec<(u64, usize)>,
}

impl Watched {
    fn get() -> MutexGuard<'static, Self> {
        WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&mut self) {
        let oldest = self.shops.iter().map(|(_, first)| *first).min();
        let end = self.first + self.lines.len();
        let gone = oldest.unwrap_or(end) - self.first;
        self.lines.drain(..gone);
        self.first += gone;
    }
}

/// Takes lines as the service writes them.
struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut watched = Watched::get();
        if !watched.shops.is_empty() {
            let line = String::from_utf8_lossy(bytes).into_owned();
            watched.lines.push_back(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged while a shop is open.
pub struct LogWatch {
    shop: u64,
}

impl LogWatch {
    /// Watches from now on. Where a test keeps the log of its process itself, nothing is seen.
    pub fn begin() -> Self {
        static INSTALL: Once = Once::new();
        static SHOPS: AtomicU64 = AtomicU64::new(0);
        INSTALL.call_once(|| {
            let layer = telemetry::layer(Format::Json, FILTER, || Lines);
            let _ = tracing_subscriber::registry().with(layer).try_init();
        });
        let shop = SHOPS.fetch_add(1, Ordering::Relaxed);
        let mut watched = Watched::get();
        let next = watched.first + watched.lines.len();
        watched.shops.push((shop, next));
        Self { shop }
    }

    /// Every line that shows one of the secrets, each of which is told with what it is.
    pub fn end(self, secrets: &[(String, String)]) -> Vec<Violation> {
        let watched = Watched::get();
        let first = watched.shops.iter().find(|(shop, _)| *shop == self.shop);
        let skipped = first.map_or(0, |(_, first)| first - watched.first);
        let lines = watched.lines.iter().skip(skipped);
        search(lines.map(String::as_str), secrets)
    }
}

/// Every line that shows one of the secrets, each of which is told with what it is.
pub fn search<'a>(
    lines: impl Iterator<Item = &'a str>,
    secrets: &[(String, String)],
) -> Vec<Violation> {
    let mut found = Vec::new();
    for line in lines {
        for (what, secret) in secrets {
            if let Some(at) = line.find(secret) {
                let shown: String = line[..at].chars().take(SHOWN).collect();
                let text = format!("the {what} is in the log: {shown}...");
                found.push(Violation::new(Invariant::I10, text));
            }
        }
    }
    found
}

/// What is logged on this thread alone, where nothing of the process is watched.
pub struct ThreadLog {
    lines: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

/// Takes the lines of one thread.
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ThreadLog {
    /// Keeps it from now on.
    pub fn begin() -> Self {
        // Where there is one subscriber only, what another thread logs first is taken as nobody's.
        static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
        ANOTHER.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let layer = telemetry::layer(Format::Json, FILTER, move || Kept(Arc::clone(&kept)));
        let guard = tracing_subscriber::registry().with(layer).set_default();
        Self {
            lines,
            _guard: guard,
        }
    }

    /// How many lines there were, and those that show one of the secrets.
    pub fn end(self, secrets: &[(String, String)]) -> (usize, Vec<Violation>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&lines);
        (text.lines().count(), search(text.lines(), secrets))
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        let mut watched = Watched::get();
        let shop = self.shop;
        watched.shops.retain(|(other, _)| *other != shop);
        watched.forget();
    }
}
