//! A session at the server that serves one lock: the steps that are taken in it.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use rootlock::Mode;
use rootlock_sys::clock;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement};

use super::connect::{Connection, row};
use super::look::{LOOK, Seen, Silent, look};
use super::url::Target;
use super::{schema, sql};
use crate::fault::{Failure, Fault};
use crate::record;
use crate::runtime::Runtime;
use crate::terms::{IdleTimeout, Terms};

/// The server ends a slice of a wait after 30 s; an answer that takes longer does not come.
const ANSWER: Duration = Duration::from_secs(40);

/// The greatest token that JavaScript counts exactly; the clock gets there in the year 2255.
const MOST: i64 = (1 << 53) - 1;

/// The names of the steps, in errors.
pub(crate) const CONNECT: &str = "connect";
const LOCK: &str = "lock_server";
const WRITE: &str = "write_ledger";
const BEAT: &str = "beat";
const RELEASE: &str = "release";

/// A session. Dropping it ends it.
pub(crate) struct Session {
    connection: Connection,
    target: Arc<Target>,
    /// The row's.
    id: i32,
    instance: Instance,
    statements: Statements,
}

/// The server's memory, which no session outlives.
struct Instance {
    name: String,
    /// When it was there at the latest: milliseconds of the server's clock.
    since: i64,
}

/// A statement's.
type Params<'a, const N: usize> = [&'a (dyn ToSql + Sync); N];

struct Statements {
    times: Statement,
    r#try: Statement,
    wait: Statement,
    wait_shared: Statement,
    write: Statement,
    beat: Statement,
    release: Statement,
    unlock: Statement,
    look: Statement,
    find_lock: Statement,
}

/// The answer to `write_ledger`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// A grant if `confirm` says so.
    Token {
        token: u64,
        /// When it was sent: the lease counts from here.
        moment: Duration,
    },
    /// Leases of another instance may be alive: nothing was written, and they are over after that.
    Quarantine(Duration),
}

/// The answer to a try.
#[derive(Debug)]
pub(crate) enum Tried {
    /// It was free; with what `write_ledger` was answered.
    Locked(Written),
    /// It is held, or somebody waits for it.
    Held,
}

impl Session {
    /// `connect`.
    pub(crate) async fn open(
        runtime: &Arc<Runtime>,
        target: &Arc<Target>,
        root: &str,
        name: &str,
    ) -> Result<Self, Fault> {
        let connection = Connection::open(runtime, target).await?;
        let opening = async {
            schema::make_tables(&connection).await?;
            let instance = instance(&connection).await?;
            let id = find_row(&connection.client, root, name).await?;
            let beat = if target.replicated { sql::BEAT_REPLICATED } else { sql::BEAT };
            let statements = Statements::prepare(&connection.client, beat).await;
            Ok::<_, Fault>((instance, id, statements.map_err(|error| fault(CONNECT, &error))?))
        };
        let (instance, id, statements) =
            timeout(ANSWER, opening).await.map_err(|_| Fault::silent(CONNECT))??;
        Ok(Self { connection, target: Arc::clone(target), id, instance, statements })
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.connection.has_ended()
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) -> Fault {
        self.connection.ended().await
    }

    /// Closes the connection at once: the server ends the session, and with it the lock.
    pub(crate) fn give_up(&self) {
        self.connection.abandon();
    }

    fn client(&self) -> &Client {
        &self.connection.client
    }

    /// Tells the server when to end the session if it hears nothing: before `lock_server`, or in a session that
    /// has the lock before `write_ledger`.
    pub(crate) async fn set_times(&self, terms: &Terms, timeout: IdleTimeout) -> Result<(), Fault> {
        let idle = timeout.setting();
        let tcp = crate::terms::millis(terms.stale).max(idle);
        let keepalive = (tcp / 1000).saturating_add(1);
        let params: Params<'_, 3> = [&idle, &tcp, &keepalive];
        let sent = self.client().query(&self.statements.times, &params);
        answered(LOCK, sent).await.map(drop).map_err(|failure| failure.into_fault(LOCK))
    }

    /// `lock_server`, the try, and along with it `write_ledger`, which writes only if the try has the lock.
    pub(crate) async fn try_lock(&self, mode: Mode, terms: &Terms) -> Result<Tried, Fault> {
        let shared = mode == Mode::Shared;
        let params: Params<'_, 2> = [&self.id, &shared];
        let tried = self.client().query_one(&self.statements.r#try, &params);
        // In this order on the wire.
        let (tried, written) = tokio::join!(biased; answered(LOCK, tried), self.write(mode, terms, terms.idle_timeout(), false));
        let locked: bool = tried.map_err(|failure| failure.into_fault(LOCK))?.get(0);
        Ok(if locked { Tried::Locked(written?) } else { Tried::Held })
    }

    /// `lock_server`, the wait: a slice of it. Also says who has the lock, as soon as that is known.
    pub(crate) async fn wait(
        &self,
        mode: Mode,
        (root, name): (&str, &str),
        seen: impl FnOnce(Seen),
    ) -> Result<(), Failure> {
        let statement = match mode {
            Mode::Exclusive => &self.statements.wait,
            Mode::Shared => &self.statements.wait_shared,
        };
        let looking = async {
            if let Ok(found) = look(self.client(), &self.statements.look, root, name).await {
                seen(found);
            }
        };
        let params: Params<'_, 1> = [&self.id];
        let waiting = answered(LOCK, self.client().query_one(statement, &params));
        // In this order on the wire: what comes behind the wait is answered after it.
        let ((), waited) = tokio::join!(biased; looking, waiting);
        waited.map(drop)
    }

    /// Who has the lock.
    pub(crate) async fn look(&self, root: &str, name: &str) -> Result<Seen, Fault> {
        timeout(ANSWER, look(self.client(), &self.statements.look, root, name))
            .await
            .unwrap_or_else(|_| Err(Fault::silent(LOOK)))
    }

    /// The backstop: ends that session, if it is still as silent. Whether it did.
    pub(crate) async fn end(&self, silent: &Silent) -> Result<bool, Fault> {
        let id = i64::from(self.id);
        let params: Params<'_, 3> = [&silent.pid, &silent.since, &id];
        let sent = answered(LOCK, self.client().query_opt(sql::END, &params));
        let row = sent.await.map_err(|failure| failure.into_fault(LOCK))?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    /// `write_ledger`. The clock is read before it is sent.
    pub(crate) async fn write(
        &self,
        mode: Mode,
        terms: &Terms,
        timeout: IdleTimeout,
        waited: bool,
    ) -> Result<Written, Fault> {
        let shared = mode == Mode::Shared;
        let stale = crate::terms::millis(terms.stale);
        let record = record::of_grant(mode, terms, timeout.ends());
        let moment = clock::since_boot();
        let Instance { name, since } = &self.instance;
        let params: Params<'_, 7> = [&self.id, name, &waited, &stale, &shared, &record, since];
        let sent = self.client().query_opt(&self.statements.write, &params);
        let row = answered(WRITE, sent).await.map_err(|failure| failure.into_fault(WRITE))?;
        let Some(row) = row else {
            return Err(Fault::away(WRITE, ErrorKind::NotFound, "the lock's row is gone"));
        };
        let (token, left): (i64, i32) = (row.get(0), row.get(1));
        Ok(match row.get(2) {
            true if !(1..=MOST).contains(&token) => {
                let words = format!(
                    "the row's token is {token}: somebody has changed rootlock.lock by hand"
                );
                return Err(Fault::new(WRITE, ErrorKind::InvalidData, words));
            }
            true => Written::Token { token: token.unsigned_abs(), moment },
            false => Written::Quarantine(Duration::from_millis(u64::try_from(left).unwrap_or(0))),
        })
    }

    /// `beat`: whether the session has the lock.
    pub(crate) async fn beat(&self) -> Result<bool, Fault> {
        let id = i64::from(self.id);
        let found = self.client().query_opt(&self.statements.beat, &[&id]).await;
        found.map(|row| row.is_some()).map_err(|error| fault(BEAT, &error))
    }

    /// Whether the session has the lock, after a wait for it that was ended.
    pub(crate) async fn find_lock(&self) -> Result<bool, Fault> {
        let id = i64::from(self.id);
        let params: Params<'_, 1> = [&id];
        let found = self.client().query_one(&self.statements.find_lock, &params);
        let row = answered(LOCK, found).await.map_err(|failure| failure.into_fault(LOCK))?;
        Ok(row.get(0))
    }

    /// `release`.
    pub(crate) async fn release(&self, mode: Mode, was_granted: bool) -> Result<(), Fault> {
        let shared = mode == Mode::Shared;
        let params: Params<'_, 2> = [&self.id, &shared];
        let (statement, params) = match was_granted && !shared {
            true => (&self.statements.release, &params[..1]),
            false => (&self.statements.unlock, &params[..]),
        };
        let sent = self.client().query_opt(statement, params);
        let row = answered(RELEASE, sent).await.map_err(|failure| failure.into_fault(RELEASE))?;
        match row.map(|row| row.get(0)) {
            Some(true) => Ok(()),
            // Somebody has removed the row, or unlocked it in this session: then only its end is certain.
            _ => Err(Fault::away(RELEASE, ErrorKind::NotFound, "the session had not got the lock")),
        }
    }

    /// `cancel`: sends one request, and waits until that is over.
    pub(crate) async fn send_cancel(&self) -> Result<(), Fault> {
        self.connection.cancel_key.send(&self.target, &self.connection.host).await
    }
}

impl Statements {
    async fn prepare(client: &Client, beat: &str) -> Result<Self, tokio_postgres::Error> {
        let (times, r#try, wait, wait_shared, write, beat, release, unlock, look, find_lock) = tokio::try_join!(
            client.prepare(sql::TIMES),
            client.prepare_typed(sql::TRY, &[Type::INT4, Type::BOOL]),
            client.prepare_typed(sql::WAIT, &[Type::INT4]),
            client.prepare_typed(sql::WAIT_SHARED, &[Type::INT4]),
            client.prepare_typed(
                sql::WRITE,
                &[
                    Type::INT4,
                    Type::TEXT,
                    Type::BOOL,
                    Type::INT4,
                    Type::BOOL,
                    Type::TEXT,
                    Type::INT8
                ]
            ),
            client.prepare_typed(beat, &[Type::INT8]),
            client.prepare_typed(sql::RELEASE, &[Type::INT4]),
            client.prepare_typed(sql::UNLOCK, &[Type::INT4, Type::BOOL]),
            client.prepare_typed(sql::LOOK, &[Type::TEXT, Type::TEXT]),
            client.prepare_typed(sql::FIND_LOCK, &[Type::INT8]),
        )?;
        Ok(Self { times, r#try, wait, wait_shared, write, beat, release, unlock, look, find_lock })
    }
}

/// Names the server's memory. Whoever comes first after a crash gives it its marker.
async fn instance(connection: &Connection) -> Result<Instance, Fault> {
    for _ in 0..3 {
        let ask = |sql| async move {
            connection.ask(CONNECT, sql).await.map_err(|failure| failure.into_fault(CONNECT))
        };
        if let Some(row) = row(&ask(sql::INSTANCE).await?)
            && let (Some(name), Some(since)) = (row.get("instance"), row.get("since"))
            && let Ok(since) = since.parse()
        {
            return Ok(Instance { name: name.to_owned(), since });
        }
        ask(sql::MARK).await?;
    }
    Err(Fault::away(CONNECT, ErrorKind::Other, "somebody empties rootlock.memory"))
}

async fn find_row(client: &Client, root: &str, name: &str) -> Result<i32, Fault> {
    for _ in 0..3 {
        let found = client.query_opt(sql::FIND_ROW, &[&root, &name]).await;
        if let Some(row) = found.map_err(|error| fault(CONNECT, &error))? {
            return Ok(row.get(0));
        }
        let made = client.execute(sql::MAKE_ROW, &[&root, &name]).await;
        made.map_err(|error| fault(CONNECT, &error))?;
    }
    Err(Fault::away(CONNECT, ErrorKind::Other, "somebody removes rows of rootlock.lock"))
}

fn fault(call: &'static str, error: &tokio_postgres::Error) -> Fault {
    Failure::of(call, error).into_fault(call)
}

async fn answered<T>(
    call: &'static str,
    sent: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    match timeout(ANSWER, sent).await {
        Ok(answer) => answer.map_err(|error| Failure::of(call, &error)),
        Err(_) => Err(Fault::silent(call).into()),
    }
}
