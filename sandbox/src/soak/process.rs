//! The real programs as processes: started, stopped for a while, killed, started again.

use std::{
    fs::{self, File, OpenOptions},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::Error;

/// A program that does not listen by then will not.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process is started from, as often as it takes.
pub(super) struct Recipe {
    /// For people: `core A`.
    pub name: &'static str,
    pub program: PathBuf,
    pub args: Vec<&'static str>,
    pub env: Vec<(String, String)>,
    /// Something of it that listens once it serves.
    pub listens: SocketAddr,
}

/// What a running process takes of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub rss_kb: u64,
    pub open_files: usize,
}

/// A program of the shop that runs, or is dead for a moment; killed when dropped.
pub(super) struct Process {
    pub recipe: Recipe,
    child: Child,
    log: PathBuf,
    /// As it was when it had just begun to serve.
    pub at_start: Usage,
}

impl Process {
    /// Starts it and waits until it listens. Everything it ever writes goes to one log.
    pub(super) async fn start(recipe: Recipe, folder: &Path) -> Result<Self, Error> {
        let log = folder.join(format!("{}.log", recipe.name.replace(' ', "-")));
        let child = spawn(&recipe, &log)?;
        let mut process = Self {
            recipe,
            child,
            log,
            at_start: Usage::default(),
        };
        process.until_it_listens().await?;
        process.at_start = process.usage();
        Ok(process)
    }

    /// Starts it again after it was killed.
    pub(super) async fn restart(&mut self) -> Result<(), Error> {
        self.child = spawn(&self.recipe, &self.log)?;
        self.until_it_listens().await?;
        self.at_start = self.usage();
        Ok(())
    }

    /// Ends it from one instruction to the next.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it stand still, its connections open.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on as if no time had passed.
    pub(super) fn go_on(&mut self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        // Not reaped before this line, its id cannot have become another's.
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("{} had ended by itself: {status}", self.recipe.name).into());
        }
        kill_process(Pid::from_child(&self.child), signal)?;
        Ok(())
    }

    /// Its memory and its open files now.
    pub(super) fn usage(&self) -> Usage {
        let of = |part: &str| format!("/proc/{}/{part}", self.child.id());
        let status = fs::read_to_string(of("status")).unwrap_or_default();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|text| text.trim().split_once(' '));
        Usage {
            rss_kb: rss.and_then(|(number, _)| number.parse().ok()).unwrap_or(0),
            open_files: fs::read_dir(of("fd")).map_or(0, Iterator::count),
        }
    }

    /// Everything that it and its forerunners wrote.
    pub(super) fn log(&self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    async fn until_it_listens(&mut self) -> Result<(), Error> {
        let began = Instant::now();
        while TcpStream::connect(self.recipe.listens).is_err() {
            let name = self.recipe.name;
            if let Some(status) = self.child.try_wait()? {
                // The address may be held for a moment by a connection of its forerunner.
                if began.elapsed() > PATIENCE {
                    return Err(format!("{name} does not start: {status}").into());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
                self.child = spawn(&self.recipe, &self.log)?;
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{name} does not serve").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(recipe: &Recipe, log: &Path) -> Result<Child, Error> {
    let log: File = OpenOptions::new().create(true).append(true).open(log)?;
    let child = Command::new(&recipe.program)
        .args(&recipe.args)
        .env_clear()
        .envs(recipe.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    child.map_err(|error| format!("{} cannot start: {error}", recipe.program.display()).into())
}
