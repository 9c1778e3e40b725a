//! The real programs as processes of their own, beside the shop of a test: started,
//! read, stopped for a while, told to end, or killed as a failing machine would.
//!
//! It knows programs and signals. What a shop gives to its processes is in `core` and
//! `gateway`.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

use super::wait::{self, Pace};

mod core;
mod gateway;

pub use self::{core::CoreProcess, gateway::GatewayProcess};

/// Where a program's output goes, in its own folder.
const LOG: &str = "log";
/// The longest that a process may take to stand still once it is told.
const STOPPED: Duration = Duration::from_secs(10);

/// A program of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `spawnpoint`
    Core,
    /// `spawnpoint-gateway`
    Gateway,
}

impl Binary {
    /// Built from what the sources are now.
    pub fn path(self) -> PathBuf {
        let name = match self {
            Self::Core => "spawnpoint",
            Self::Gateway => "spawnpoint-gateway",
        };
        tests::program(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// What can be done to a process from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGKILL: it ends at once, whatever it is doing.
    Kill,
    /// SIGSTOP: it stands still, its connections stay open.
    Stop,
    /// SIGCONT: it goes on as if no time had passed.
    Cont,
    /// SIGTERM: it is asked to end.
    Term,
}

/// A running program; killed when dropped.
pub struct Program {
    child: Arc<Mutex<Child>>,
    folder: TempDir,
}

impl Program {
    /// Starts a program with nothing in its environment but this, in a folder of its own.
    pub fn spawn(binary: Binary, args: &[&str], env: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join(LOG)).unwrap();
        let child = Command::new(binary.path())
            .args(args)
            .current_dir(folder.path())
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child: Arc::new(Mutex::new(child)),
            folder,
        }
    }

    /// Its process id.
    #[allow(dead_code, reason = "part of the harness, whichever tests there are")]
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Its folder, where its log is.
    #[allow(dead_code, reason = "part of the harness, whichever tests there are")]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything it has written to stdout and stderr so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join(LOG)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a signal. A process that has ended already takes none: whoever sends one
    /// relies on its effect.
    pub fn signal(&self, signal: Signal) {
        if let Err(ended) = send(&self.child, signal) {
            panic!("{signal:?}, but it had ended: {ended}\n{}", self.log());
        }
    }

    /// Sends a signal from wherever the moment is known, such as inside a proxy. To a
    /// process that has ended it does nothing.
    pub fn signaller(&self, signal: Signal) -> impl Fn() + Send + Sync + 'static {
        let child = Arc::clone(&self.child);
        move || {
            let _ = send(&child, signal);
        }
    }

    /// Stops it from wherever the moment is known, such as inside a proxy, and holds the
    /// calling thread until it stands still: on a busy machine a signal takes its time, and
    /// what is to reach a process that stands still must not go on meanwhile.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let (stop, pid) = (self.signaller(Signal::Stop), self.pid());
        move || {
            stop();
            let deadline = Instant::now() + STOPPED;
            while !stands_still(pid) {
                assert!(Instant::now() < deadline, "it does not stand still");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Whether it stands still, with all its threads.
    pub fn stopped(&self) -> bool {
        stands_still(self.pid())
    }

    /// Stops it, and waits until it stands still: a signal takes its time.
    pub async fn stop(&self) {
        self.signal(Signal::Stop);
        wait::until("it stands still", STOPPED, || async { self.stopped() }).await;
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// Waits until it ends.
    pub async fn exited(&self, deadline: Duration) -> ExitStatus {
        wait::until("the process ends", deadline, || async {
            self.ended().is_some()
        })
        .await;
        self.ended().unwrap()
    }

    /// Kills it and waits until it is gone: nothing of it happens after this.
    pub async fn kill(&self) {
        self.signal(Signal::Kill);
        self.killed(Duration::from_secs(10)).await;
    }

    /// Waits until somebody kills it.
    pub async fn killed(&self, deadline: Duration) {
        const SIGKILL: i32 = 9;
        let status = self.exited(deadline).await;
        assert_eq!(
            status.signal(),
            Some(SIGKILL),
            "it ended otherwise: {status}"
        );
    }

    /// Waits until a line of its log satisfies `find`. A process that ends instead fails
    /// the test with its log.
    pub async fn logged<T>(
        &self,
        what: &str,
        deadline: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> T {
        let (began, mut pace) = (Instant::now(), Pace::new());
        loop {
            // Asked first: what it wrote before its end is in the log.
            let ended = self.ended();
            let log = self.log();
            if let Some(found) = log.lines().find_map(&find) {
                return found;
            }
            assert!(ended.is_none(), "not {what}, but {ended:?}\n{log}");
            assert!(
                began.elapsed() < deadline,
                "after {deadline:?} still not: {what}\n{log}"
            );
            pace.pause().await;
        }
    }
}

/// Whether a process stands still, with all its threads.
fn stands_still(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.flatten().all(|thread| {
        // A thread that has gone since does nothing either.
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        state.is_empty() || state.starts_with('T')
    })
}

/// Sends a signal, or tells how the process has ended.
fn send(child: &Mutex<Child>, signal: Signal) -> Result<(), ExitStatus> {
    let mut child = child.lock().unwrap();
    // Not reaped before this line, its id cannot have become another's.
    if let Some(status) = child.try_wait().unwrap() {
        return Err(status);
    }
    let signal = match signal {
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Cont => rustix::process::Signal::CONT,
        Signal::Term => rustix::process::Signal::TERM,
    };
    kill_process(Pid::from_child(&child), signal).unwrap();
    Ok(())
}

impl Drop for Program {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}
