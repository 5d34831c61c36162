//! `look`: who has a lock, who waits for it, and since when; takes nothing.

use std::time::{Duration, SystemTime};

use rootlock::{Holder, Mode};
use tokio_postgres::{Client, Row, ToStatement};

use crate::fault::{Failure, Fault};
use crate::record::PROCESS;

pub(crate) const LOOK: &str = "look";

/// What the server says of a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) holders: Vec<Locker>,
    pub(crate) waiters: Vec<Locker>,
    /// The last grant's, if its session has the lock.
    pub(crate) holder: Option<Holder>,
    /// Its h and T.
    pub(crate) terms: Option<(Duration, Duration)>,
    /// Its session, if that is silent and the server may end it for that.
    pub(crate) silent: Option<Silent>,
}

/// A session that says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Silent {
    /// The server's process.
    pub(crate) pid: i32,
    /// Since when, as the server calls it: another text is another silence.
    pub(crate) since: String,
    /// The longest T of those whose leases it carries.
    pub(crate) stale: Duration,
}

/// A session that has a lock or waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Locker {
    /// The server's process.
    pub(crate) pid: i32,
    pub(crate) mode: Mode,
    /// Since it last heard from its client, if this user may know.
    pub(crate) age: Option<Duration>,
    pub(crate) application: Option<String>,
    /// Since when it has been silent, if it is and this user may know.
    silence: Option<String>,
}

pub(crate) async fn look(
    client: &Client,
    statement: &(impl ToStatement + ?Sized),
    root: &str,
    name: &str,
) -> Result<Seen, Fault> {
    let rows = client.query(statement, &[&root, &name]).await;
    let rows = rows.map_err(|error| Failure::of(LOOK, &error).into_fault(LOOK))?;
    Ok(Seen::of(&rows))
}

impl Seen {
    /// Others may have written anything into the record: what does not fit is not known.
    fn of(rows: &[Row]) -> Self {
        let mut seen = Self::default();
        for row in rows {
            let Ok(Some(pid)) = row.try_get::<_, Option<i32>>("locker") else { continue };
            let shared = row.try_get::<_, Option<bool>>("shared").ok().flatten().unwrap_or(false);
            let age = row.try_get::<_, Option<f64>>("age").ok().flatten();
            let locker = Locker {
                pid,
                mode: if shared { Mode::Shared } else { Mode::Exclusive },
                age: age.and_then(|age| Duration::try_from_secs_f64(age.max(0.0)).ok()),
                application: text(row, "application"),
                silence: text(row, "silence"),
            };
            match row.try_get::<_, Option<bool>>("granted") {
                Ok(Some(true)) => seen.holders.push(locker),
                _ => seen.waiters.push(locker),
            }
        }
        let (Some(row), Some(first)) = (rows.first(), seen.holders.first()) else { return seen };
        let backend = number(row, "backend");
        let theirs = seen.holders.iter().find(|holder| Some(i64::from(holder.pid)) == backend);
        let pid = number(row, "pid").and_then(|pid| u32::try_from(pid).ok());
        if let (Some(theirs), Some(pid)) = (theirs, pid) {
            let since = number(row, "since").and_then(|since| u64::try_from(since).ok());
            seen.holder = Some(Holder {
                pid,
                hostname: text(row, "host"),
                command: text(row, "command").filter(|command| !command.is_empty()),
                acquired_at: since.and_then(|since| {
                    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(since))
                }),
                mode: first.mode,
                token: row
                    .try_get::<_, i64>("token")
                    .ok()
                    .and_then(|token| u64::try_from(token).ok()),
                own: text(row, "process").as_ref() == Some(&*PROCESS),
            });
            let millis = |millis: i64| u64::try_from(millis).ok().map(Duration::from_millis);
            let stale = row.try_get::<_, i32>("stale_ms").ok().map(i64::from).and_then(millis);
            seen.terms = number(row, "heartbeat").and_then(millis).zip(stale);
            let ends = text(row, "ends").as_deref() == Some("true");
            seen.silent = theirs
                .silence
                .clone()
                .zip(stale)
                .filter(|_| ends)
                .map(|(since, stale)| Silent { pid: theirs.pid, since, stale });
        }
        seen
    }
}

fn text(row: &Row, name: &str) -> Option<String> {
    row.try_get::<_, Option<String>>(name).ok().flatten()
}

fn number(row: &Row, name: &str) -> Option<i64> {
    text(row, name)?.parse().ok()
}
