//! What a person wants to know of a lock and its server, and whether the server keeps locks at all.

use std::io::ErrorKind as IoErrorKind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rootlock::{LockOwner, LockState, Mode, State};
use tokio_postgres::SimpleQueryRow;

use super::connect::{Connection, row};
use super::look::{LOOK, Locker, Seen, look};
use super::url::Target;
use super::{schema, sql};
use crate::fault::Fault;
use crate::root::Found;
use crate::runtime::Runtime;

const PROVE: &str = "prove_exclusion";

/// A lock and its server, without taking it.
pub(crate) async fn ask(
    runtime: &Arc<Runtime>,
    target: &Target,
    name: &str,
    stale: Option<Duration>,
) -> Result<Found, Fault> {
    let connection = Connection::open(runtime, target).await?;
    let seen = look(&connection.client, sql::LOOK, &target.root, name).await?;
    let asked = SystemTime::now();
    let answer = connection.ask(LOOK, sql::FACTS).await;
    let answer = answer.map_err(|failure| failure.into_fault(LOOK))?;
    let facts = row(&answer).map(|row| Facts::of(row, asked)).unwrap_or_default();
    let terms = seen.terms;
    let theirs = || terms.map_or(rootlock::Options::default().stale, |(_, stale)| stale);
    let state = state(seen, stale.unwrap_or_else(theirs));
    Ok(Found { state, terms, server: facts.server, settings: facts.settings })
}

/// Whether a session's lock keeps another one out: systems that only look like PostgreSQL may grant it twice,
/// and a pooler that shares sessions does.
pub(crate) async fn prove(runtime: &Arc<Runtime>, target: &Target) -> Result<(), Fault> {
    let first = Connection::open(runtime, target).await?;
    let proving = async {
        schema::make_tables(&first).await?;
        let second = Connection::open(runtime, target).await?;
        // No row has such a number, and no other session this one.
        let number = first.server.pid.checked_neg().filter(|number| *number < 0).unwrap_or(-1);
        let locked = async |connection: &Connection, sql: &str| {
            let sql = sql.replace("$1", &number.to_string());
            let answer = connection.ask(PROVE, &sql).await;
            let answer = answer.map_err(|failure| failure.into_fault(PROVE))?;
            Ok::<_, Fault>(row(&answer).and_then(|row| row.get(0)) == Some("t"))
        };
        if !locked(&first, sql::PROVE).await? {
            return Err(Fault::away(PROVE, IoErrorKind::ResourceBusy, "somebody else proves it"));
        }
        let twice = locked(&second, sql::PROVE).await?;
        let unlocked = locked(&first, sql::UNPROVE).await?;
        if twice || !unlocked {
            return Err(Fault::new(
                PROVE,
                IoErrorKind::Unsupported,
                "this server grants an advisory lock to two sessions at once, or forgets it: it keeps nobody out",
            ));
        }
        Ok(())
    };
    proving.await
}

/// What a person wants to know of a server.
#[derive(Default)]
struct Facts {
    server: String,
    settings: String,
}

impl Facts {
    fn of(row: &SimpleQueryRow, asked: SystemTime) -> Self {
        let text = |name: &str| row.try_get(name).ok().flatten().unwrap_or_default();
        let now: f64 = text("now").parse().unwrap_or_default();
        let own = asked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut settings = vec![
            format!("synchronous_commit={}", text("synchronous_commit")),
            format!("fsync={}", text("fsync")),
            format!("max_connections={}", text("connections")),
            format!("client_connection_check_interval={}", text("check_interval")),
        ];
        if !text("standbys").is_empty() {
            settings.push(format!("synchronous_standby_names={}", text("standbys")));
        }
        settings.push(format!("clock {:+.1} s", now / 1000.0 - own));
        Self { server: format!("PostgreSQL {}", text("version")), settings: settings.join(", ") }
    }
}

fn state(seen: Seen, stale: Duration) -> LockState {
    let owner = |locker: &Locker| {
        let application = locker.application.clone().filter(|name| !name.is_empty());
        LockOwner {
            pid: u32::try_from(locker.pid).unwrap_or_default(),
            mode: locker.mode,
            command: application.or_else(|| Some("a session of the server's".into())),
            callers: None,
        }
    };
    let first = seen.holders.first();
    let age = first.and_then(|holder| holder.age);
    let state = match first {
        None => State::Free,
        Some(_) if age.is_some_and(|age| age >= stale) => State::Stale,
        Some(Locker { mode: Mode::Exclusive, .. }) => State::Exclusive,
        Some(Locker { mode: Mode::Shared, .. }) => State::Shared,
    };
    LockState {
        state,
        holder: seen.holder,
        age,
        holders: Some(seen.holders.iter().map(owner).collect()),
        waiters: Some(seen.waiters.iter().map(owner).collect()),
    }
}
