//! The real program, its log in a file.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::UNIX_EPOCH;

use tokio::process::{Child, Command};

use super::{PATIENCE, eventually, sign};

/// The program in an empty environment and this working directory.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spawnpoint-gateway"));
    command
        .env_clear()
        .current_dir(folder)
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command
}

/// A running one.
pub struct Program {
    pub addr: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it with what `settings` adds and waits until it listens.
    pub async fn start(folder: &Path, settings: impl FnOnce(&mut Command)) -> Self {
        let log = folder.join("log");
        let mut command = command(folder);
        command.args(["--log-format", "json"]);
        command
            .env("GATEWAY_ADDR", "127.0.0.1:0")
            .env("GATEWAY_METRICS_ADDR", "off");
        settings(&mut command);
        let child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        eventually("the program listens", || async {
            listening(&log).is_some()
        })
        .await;
        Self {
            addr: listening(&log).unwrap(),
            child,
            log,
        }
    }

    /// The system's number of it.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it still runs")
    }

    /// Everything it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Asks it to end, as a service manager does.
    pub async fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .await
                .unwrap()
                .success()
        );
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("ends")
            .unwrap()
    }
}

/// The address in the line that tells it, once that line is whole.
fn listening(log: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(log).ok()?;
    let line = text
        .lines()
        .find(|line| line.contains("gateway listening"))?;
    line.split_once("\"addr\":\"")?
        .1
        .split_once('"')?
        .0
        .parse()
        .ok()
}

/// A header signed by the machine's clock, which is the program's.
pub fn signed_now(secret: &str, body: &[u8]) -> String {
    signed_now_by(&[secret], body)
}

/// As [`signed_now`], with a signature by each of these secrets.
pub fn signed_now_by(secrets: &[&str], body: &[u8]) -> String {
    let now = gateway::Clock::system()
        .now()
        .duration_since(UNIX_EPOCH)
        .unwrap();
    let now = now.as_secs().to_string();
    let list = secrets.iter().map(|secret| sign(secret, &now, body));
    list.fold(format!("t={now}"), |header, digest| {
        format!("{header},v1={digest}")
    })
}
