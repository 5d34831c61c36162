//! A real etcd cluster on loopback, of one member or more.

#![allow(dead_code, reason = "each test file uses a part")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use super::server::eventually;

/// A cluster, which ends with this.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    members: Vec<Member>,
}

struct Member {
    client: u16,
    peer: u16,
    process: Option<Child>,
}

/// The server's program, built from Go's modules; `None` where there is no Go.
static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join("target/etcd/etcd");
    // Kept by Go's own cache: that it is up to date is found in a moment.
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(root.join("__test__/remote/etcd"))
        .output();
    match built {
        Ok(built) if built.status.success() => Some(program),
        Ok(built) => panic!("{}", String::from_utf8_lossy(&built.stderr)),
        Err(_) => None,
    }
});

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let mut three = [0; 3];
            three[..chunk.len()].copy_from_slice(chunk);
            let [a, b, c] = three.map(u32::from);
            let bits = a << 16 | b << 8 | c;
            (0..4).map(move |at| match at <= chunk.len() {
                true => char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]),
                false => '=',
            })
        })
        .collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("free").local_addr().expect("has one").port()
}

impl Cluster {
    /// Starts one; `None` with a printed reason where there is no Go.
    pub(crate) fn start(size: usize) -> Option<Self> {
        if PROGRAM.is_none() {
            eprintln!("skipped: no Go to build etcd with");
            return None;
        }
        let folder = tempfile::tempdir().expect("made");
        let member = || Member { client: free_port(), peer: free_port(), process: None };
        let members = (0..size).map(|_| member()).collect();
        let mut cluster = Self { folder, members };
        (0..size).for_each(|at| cluster.spawn(at, "new"));
        eventually("the cluster answers", || cluster.is_up());
        Some(cluster)
    }

    fn spawn(&mut self, at: usize, state: &str) {
        let program = PROGRAM.as_ref().expect("built");
        let all: Vec<_> = (0..self.members.len())
            .map(|at| format!("m{at}=http://127.0.0.1:{}", self.members[at].peer))
            .collect();
        let Member { client, peer, .. } = self.members[at];
        let [client, peer] = [client, peer].map(|port| format!("http://127.0.0.1:{port}"));
        let log = std::fs::File::create(self.folder.path().join(format!("log{at}")));
        let process = Command::new(program)
            .args(["--name", &format!("m{at}"), "--log-level", "error"])
            .arg("--data-dir")
            .arg(self.folder.path().join(format!("m{at}")))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", state])
            .stdout(Stdio::null())
            .stderr(log.expect("made"))
            .spawn();
        self.members[at].process = Some(process.expect("starts"));
    }

    /// Whether each member answers.
    pub(crate) fn is_up(&self) -> bool {
        self.members.iter().all(|member| {
            let url = format!("etcd://127.0.0.1:{}/up", member.client);
            rootlock_remote::place(url).open().is_ok()
        })
    }

    /// Starts a member again that was killed.
    pub(crate) fn restart(&mut self, at: usize) {
        self.spawn(at, "existing");
    }

    pub(crate) fn signal(&self, at: usize, signal: &str) {
        let id = self.members[at].process.as_ref().expect("runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("runs").success());
    }

    pub(crate) fn kill(&mut self, at: usize) {
        let mut process = self.members[at].process.take().expect("runs");
        process.kill().expect("killed");
        process.wait().expect("ends");
    }

    /// Deletes keys, as somebody with `etcdctl` does: by the gateway that speaks JSON.
    pub(crate) fn delete_under(&self, prefix: &str) {
        use std::io::{Read, Write};
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().expect("a prefix") += 1;
        let [key, end] = [prefix.as_bytes(), &end].map(base64);
        let body = format!("{{\"key\":\"{key}\",\"range_end\":\"{end}\"}}");
        let port = self.members[0].client;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("listens");
        let length = body.len();
        write!(
            stream,
            "POST /v3/kv/deleterange HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answers");
        assert!(answer.contains("\"deleted\""), "{answer}");
    }

    pub(crate) fn url(&self, prefix: &str) -> String {
        let hosts: Vec<_> =
            self.members.iter().map(|member| format!("127.0.0.1:{}", member.client)).collect();
        format!("etcd://{}/{prefix}", hosts.join(","))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(process) = &mut member.process {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}
