//! A real PostgreSQL server in a folder of its own, on a Unix socket and a loopback port.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod user;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server, which ends with this.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
    pub(crate) port: u16,
    process: Option<Child>,
}

/// Where Debian and others put the server's programs.
fn bin() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("there is an id");
    id.stdout == b"0\n"
}

impl Server {
    /// Starts one; `None` with a printed reason where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(bin) = bin() else {
            eprintln!("skipped: no PostgreSQL server in /usr/lib/postgresql");
            return None;
        };
        let folder = tempfile::tempdir().expect("made");
        let port =
            TcpListener::bind("127.0.0.1:0").expect("free").local_addr().expect("has one").port();
        let mut server = Self { folder, bin, port, process: None };
        if is_root() {
            // The server refuses to run as root.
            let folder = server.folder.path();
            assert!(
                Command::new("chown").arg("nobody").arg(folder).status().expect("runs").success()
            );
        }
        let made = server
            .program("initdb")
            .args(["--no-sync", "-A", "trust", "-U", "app", "-E", "UTF8", "--locale=C", "-D"])
            .arg(server.data())
            .output()
            .expect("runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.run();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn program(&self, name: &str) -> Command {
        let path = self.bin.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        command
    }

    /// Starts it (again).
    pub(crate) fn run(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("made");
        let child = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "fsync=on", "-c", "max_connections=200", "-k"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("starts");
        self.process = Some(child);
        eventually("the server answers", || self.try_sql("SELECT 1").is_some());
    }

    /// Ends it as an administrator does who is in a hurry.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let signalled = Command::new("kill").args(["-INT", &process.id().to_string()]).status();
            assert!(signalled.expect("runs").success());
            process.wait().expect("ends");
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://app@127.0.0.1:{}/postgres?root=test&sslmode=disable", self.port)
    }

    pub(crate) fn socket_url(&self) -> String {
        let folder = self.folder.path().display();
        format!("postgres://app@/postgres?root=test&host={folder}&port={}", self.port)
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|| panic!("{sql} fails"))
    }

    fn try_sql(&self, sql: &str) -> Option<String> {
        let output = Command::new(self.bin.join("psql"))
            .args([
                "-qtAX",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "app",
                "-d",
                "postgres",
                "-c",
                sql,
            ])
            .output()
            .expect("runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for something that comes sooner or later.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < until, "not in 30 s: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}
