//! Disks of a few megabytes, to be filled up.

use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// Set in the child that has a mount namespace of its own.
const UNSHARED: &str = "SPAWNPOINT_TEST_UNSHARED";
/// Said by that child where it may not mount either.
const NO_MOUNT: &str = "no mount even in a namespace of its own";

/// A tmpfs of its own; unmounted when dropped.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of so many megabytes that belongs to this user; `None` where this process
    /// may not mount.
    pub fn mount(megabytes: u32, owner: &str) -> Option<Self> {
        // Below /tmp itself: every user must be able to reach it.
        let folder = tempfile::Builder::new()
            .prefix("spawnpoint-disk")
            .tempdir_in("/tmp")
            .unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={megabytes}m,mode=0777"))
            .arg("tmpfs")
            .arg(folder.path())
            .output();
        if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
            // Seen only if the test fails for it.
            eprintln!("no tmpfs can be mounted: {mounted:?}");
            return None;
        }
        let disk = Self { folder };
        let inner = disk.path().join("data");
        fs::create_dir(&inner).unwrap();
        let owned = Command::new("chown").arg(owner).arg(&inner).status();
        assert!(owned.unwrap().success(), "chown {owner}");
        // The folder above is its maker's only.
        let open = Command::new("chmod").arg("0755").arg(disk.path()).status();
        assert!(open.unwrap().success());
        Some(disk)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder to use.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Leaves about so many bytes free.
    pub fn fill(&self, leave: u64) {
        let filler = self.path().join("filler");
        let mut file = File::create(&filler).unwrap();
        let zeros = vec![0; 4096];
        while file.write_all(&zeros).is_ok() {}
        let length = fs::metadata(&filler).unwrap().len();
        file.set_len(length.saturating_sub(leave)).unwrap();
    }

    /// Takes back what filled it.
    pub fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a pool may still have the file open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Runs the test `name` once more, where this process may not mount, as the root of a
/// namespace of its own. Where that is refused too, the test is left out: said aloud, and
/// never in CI.
pub fn unshared(name: &str) {
    assert!(env::var_os(UNSHARED).is_none(), "{NO_MOUNT}");
    let run = Command::new("unshare")
        .args(["-r", "-m"])
        .arg(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(UNSHARED, "1")
        .output();
    match run {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("1 passed"), "{name} is no test:\n{text}");
        }
        Ok(output) if !is_refusal(&output) => {
            panic!(
                "{}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        refused => {
            let ci = env::var_os("CI").is_some_and(|value| value != "false");
            assert!(
                !ci,
                "{name}: CI is set, so this test must run, and no tmpfs can be mounted here, \
                 neither as this user nor in a namespace of its own. Run it as root with \
                 CAP_SYS_ADMIN, or allow user namespaces, or set CI=false to leave it out. \
                 unshare: {refused:?}"
            );
            let warning = format!("\n*** NO DISK CAN BE FILLED HERE: {name} IS LEFT OUT ***\n\n");
            let _ = std::io::stderr().write_all(warning.as_bytes());
        }
    }
}

/// Whether the machine refused, and not the test failed.
fn is_refusal(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    said.starts_with("unshare: ") || said.contains(NO_MOUNT)
}
