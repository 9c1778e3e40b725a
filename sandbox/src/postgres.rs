//! Throwaway PostgreSQL clusters, started and stopped by the process itself.
//!
//! A small shell (`cluster.sh`) owns the cluster and its folder and waits on a
//! pipe: when the process ends, even by SIGKILL, the pipe closes and the
//! shell removes everything. As root it runs as the user `postgres`, because the
//! server refuses root.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

/// What the owning shell runs.
const SCRIPT: &str = include_str!("postgres/cluster.sh");
/// Where Debian and its kin put the server's programs, one folder per version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Programs that a cluster needs.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];
/// Ports offered to the server, should another process take one meanwhile.
const PORTS_OFFERED: usize = 5;

/// A running cluster. Dropping it, or the end of this process, ends it.
pub struct Cluster {
    port: u16,
    folder: PathBuf,
    owner: Child,
}

impl Cluster {
    /// Makes and starts a cluster; tells why it could not.
    ///
    /// # Errors
    /// PostgreSQL's programs are not there, or the server did not start.
    pub fn start() -> Result<Self, String> {
        let programs = programs()?;
        let mut command = as_allowed_user()?;
        command.args(["sh", "-c", SCRIPT, "cluster"]).arg(&programs);
        command.args(free_ports().iter().map(u16::to_string));
        let mut owner = command
            // A terminal's Ctrl-C reaches the tests only; the folder may be unreadable to `postgres`.
            .process_group(0)
            .current_dir("/")
            .env_remove("PGDATA")
            .env_remove("PGOPTIONS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("the shell that owns PostgreSQL cannot start: {error}"))?;
        let answer = owner.stdout.take();
        let mut answer = BufReader::new(answer.ok_or("the shell that owns PostgreSQL is mute")?);
        let mut line = String::new();
        answer
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        let mut words = line.split_whitespace();
        let (Some("ready"), Some(port), Some(folder)) = (words.next(), words.next(), words.next())
        else {
            let _ = answer.read_to_string(&mut line);
            return Err(format!(
                "PostgreSQL ({}) did not start: {line}",
                programs.display()
            ));
        };
        let port = port.parse().map_err(|_| format!("no port: {line}"))?;
        Ok(Self {
            port,
            folder: PathBuf::from(folder),
            owner,
        })
    }

    /// Address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills the server as a power cut would: nothing is flushed, nobody is told.
    ///
    /// # Errors
    /// It does not end.
    pub fn crash(&self) -> Result<(), String> {
        self.control(&["-m", "immediate", "stop"])
    }

    /// Stops the server as its administrator would for an upgrade: whoever is connected is
    /// cut off, what is committed is flushed.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&self) -> Result<(), String> {
        self.control(&["-m", "fast", "stop"])
    }

    /// Starts it again after [`Cluster::crash`] or [`Cluster::stop`], at the same address.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&self) -> Result<(), String> {
        let folder = self.folder.display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} \
             -c max_connections=300",
            self.port
        );
        let log = format!("{folder}/log");
        self.control(&["-l", &log, "-o", &options, "start"])
    }

    fn control(&self, words: &[&str]) -> Result<(), String> {
        let status = as_allowed_user()?
            .arg(programs()?.join("pg_ctl"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-w", "-t", "60"])
            .args(words)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            failed => Err(format!("pg_ctl {words:?}: {failed:?}")),
        }
    }

    /// The end of the pipe whose closing ends the cluster, to be held elsewhere.
    pub fn pipe(&mut self) -> Option<ChildStdin> {
        self.owner.stdin.take()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.owner.stdin.take());
        let _ = self.owner.wait();
    }
}

/// The folder with the server's programs: on PATH, or the newest of Debian's.
fn programs() -> Result<PathBuf, String> {
    let has_all = |folder: &PathBuf| PROGRAMS.iter().all(|name| folder.join(name).is_file());
    let on_path = env::split_paths(&env::var_os("PATH").unwrap_or_default()).find(has_all);
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| has_all(folder))
        .collect();
    versions.sort();
    on_path.or_else(|| versions.pop().map(|(_, folder)| folder)).ok_or_else(|| {
        format!(
            "PostgreSQL's programs ({}) are neither on PATH nor in {DEBIAN}/*/bin: run scripts/test, \
             which installs them, or `apt-get install postgresql`; SPAWNPOINT_SKIP_POSTGRES=1 \
             leaves these tests out",
            PROGRAMS.join(", ")
        )
    })
}

/// The user that a cluster runs as: its files are theirs.
///
/// # Errors
/// There is none that the server accepts.
pub fn owner() -> Result<String, String> {
    let output = as_allowed_user()?.args(["id", "-un"]).output();
    let output = output.map_err(|error| format!("cannot run id: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A command that runs what follows as a user that the server accepts.
fn as_allowed_user() -> Result<Command, String> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id")
            .args(arguments)
            .stderr(Stdio::null())
            .output();
        output.map_err(|error| format!("cannot run id: {error}"))
    };
    if id(&["-u"])?.stdout.trim_ascii() != b"0" {
        return Ok(Command::new("env"));
    }
    if !id(&["-u", "postgres"])?.status.success() {
        return Err(
            "PostgreSQL refuses root, and there is no user `postgres` to run it".to_owned(),
        );
    }
    let mut command = Command::new("runuser");
    command.args([OsString::from("-u"), "postgres".into(), "--".into()]);
    Ok(command)
}

fn free_ports() -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..PORTS_OFFERED)
        .filter_map(|_| TcpListener::bind("127.0.0.1:0").ok())
        .collect();
    listeners
        .iter()
        .filter_map(|listener| Some(listener.local_addr().ok()?.port()))
        .collect()
}
