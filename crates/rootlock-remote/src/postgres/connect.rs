//! `connect`: from a URL to a connection whose server can keep locks.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::{oneshot, watch};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::cancel::CancelKey;
use super::sql;
use super::url::Target;
use crate::fault::{Failure, Fault, judge};
use crate::net::{CONNECT, Socket};
use crate::runtime::Runtime;
use crate::url::Host;

/// How long a connection that is closed may take to say so.
const FAREWELL: Duration = Duration::from_secs(2);

/// The first version with `idle_session_timeout`.
const OLDEST: u32 = 140_000;

/// An open connection. Dropping it closes it.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) host: Host,
    pub(crate) cancel_key: CancelKey,
    /// Its end, with the reason, once it has come.
    ended: watch::Receiver<Option<Fault>>,
    /// Dropped, the connection says goodbye; sent to, it is closed at once.
    close: Mutex<Option<oneshot::Sender<()>>>,
    pub(crate) server: Server,
}

/// What the server says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) pid: i32,
    pub(crate) version: String,
}

impl Connection {
    /// Connects to the first of the hosts that can keep locks.
    pub(crate) async fn open(runtime: &Arc<Runtime>, target: &Target) -> Result<Self, Fault> {
        let mut first = None;
        for host in &target.hosts {
            match Self::open_to(runtime, target, host).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => {
                    // The others are asked whatever it is: this one may be the standby. If one may come back,
                    // it is worth trying again.
                    first = Some(match first {
                        Some(first) if !fault.passes => first,
                        _ => fault,
                    });
                }
            }
        }
        Err(first.unwrap_or_else(|| {
            Fault::new(CONNECT, ErrorKind::InvalidInput, "the URL names no host")
        }))
    }

    async fn open_to(runtime: &Arc<Runtime>, target: &Target, host: &Host) -> Result<Self, Fault> {
        let socket = Socket::open(&target.link, host).await?;
        let mut config = tokio_postgres::Config::new();
        config
            .user(&target.user)
            .dbname(&target.database)
            .application_name(&target.application)
            // It is encrypted already.
            .ssl_mode(SslMode::Disable);
        if let Some(password) = &target.password {
            config.password(&password.0);
        }
        let connecting =
            tokio::time::timeout(target.link.connect_timeout, config.connect_raw(socket, NoTls));
        let (client, connection) = connecting
            .await
            .map_err(|_| Fault::silent(CONNECT))?
            .map_err(|error| asked_for_password(target, judge(CONNECT, &error)))?;
        let (tell, ended) = watch::channel(None);
        let (close, closed) = oneshot::channel();
        runtime.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let end = tokio::select! {
                end = &mut connection => end,
                now = closed => match now {
                    // To be closed at once: dropping it does.
                    Ok(()) => Ok(()),
                    Err(_) => tokio::time::timeout(FAREWELL, connection).await.unwrap_or(Ok(())),
                },
            };
            let fault = match end {
                Ok(()) => {
                    Fault::away(CONNECT, ErrorKind::ConnectionReset, "the connection was closed")
                }
                Err(error) => judge(CONNECT, &error),
            };
            // Nobody may be left to hear it.
            let _ = tell.send(Some(fault));
        });
        let cancel_key = CancelKey::of(&client).await?;
        let server = Server { pid: 0, version: String::new() };
        let host = host.clone();
        let mut connection =
            Self { client, host, cancel_key, ended, close: Mutex::new(Some(close)), server };
        connection.prepare_session(target).await?;
        Ok(connection)
    }

    /// What every session has, and whether the server is one that can keep locks.
    async fn prepare_session(&mut self, target: &Target) -> Result<(), Fault> {
        let ask = async {
            tokio::join!(
                self.client.simple_query(sql::SERVER),
                self.client.simple_query(sql::SETTINGS),
                // Not every system's server can.
                self.client.simple_query(sql::CHECK_CLIENT),
            )
        };
        let (server, settings, _) = tokio::time::timeout(target.link.connect_timeout, ask)
            .await
            .map_err(|_| Fault::silent(CONNECT))?;
        // A server that does not even know these functions is no PostgreSQL.
        let answer = server.map_err(|error| not_postgres(judge(CONNECT, &error)))?;
        let row = row(&answer).ok_or_else(|| Fault::silent(CONNECT))?;
        let text = |name: &str| row.try_get(name).ok().flatten().unwrap_or_default().to_owned();
        let number: u32 = text("number").parse().unwrap_or(0);
        self.server = Server { pid: text("pid").parse().unwrap_or(0), version: text("version") };
        if number < OLDEST {
            return Err(Fault::new(
                CONNECT,
                ErrorKind::Unsupported,
                format!("locks need PostgreSQL 14 or later, this is {}", self.server.version),
            ));
        }
        if !target.session_pooler && self.cancel_key.pid() != self.server.pid {
            return Err(Fault::new(
                CONNECT,
                ErrorKind::Unsupported,
                "a connection pooler is in between (another session answers than the one that was connected to): \
                 name the server itself in the URL, or, if the pooler keeps sessions (pool_mode = session), \
                 say pooler=session",
            ));
        }
        if text("standby") == "t" || text("read_only") == "on" {
            let what = if text("standby") == "t" { "is a standby" } else { "is read-only" };
            return Err(Fault::new(
                CONNECT,
                ErrorKind::ReadOnlyFilesystem,
                format!(
                    "{} {what}, and locks are written: name the primary in the URL",
                    self.host.shown()
                ),
            ));
        }
        if target.replicated && text("replicated") != "t" {
            return Err(Fault::new(
                CONNECT,
                ErrorKind::Unsupported,
                "sync=1 needs a synchronous standby, and the server has none: set its synchronous_standby_names, or leave sync out",
            ));
        }
        settings.map_err(|error| judge(CONNECT, &error))?;
        Ok(())
    }

    /// Whether it is known to have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.client.is_closed() || self.ended.borrow().is_some()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Fault {
        let mut ended = self.ended.clone();
        let fault = ended.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
        fault.unwrap_or_else(|| {
            Fault::away(CONNECT, ErrorKind::ConnectionReset, "the connection was closed")
        })
    }

    /// Sends a statement that gives no more than one row of text.
    pub(crate) async fn ask(
        &self,
        call: &'static str,
        sql: &str,
    ) -> Result<Vec<SimpleQueryMessage>, Failure> {
        self.client.simple_query(sql).await.map_err(|error| Failure::of(call, &error))
    }

    /// Closes the connection at once, whatever is on its way: the server ends the session.
    pub(crate) fn abandon(&self) {
        let close = self.close.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(close) = close {
            let _ = close.send(());
        }
    }
}

pub(crate) fn row(answer: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

fn asked_for_password(target: &Target, fault: Fault) -> Fault {
    match target.password {
        None if !fault.passes && fault.words().contains("password missing") => Fault::new(
            CONNECT,
            ErrorKind::PermissionDenied,
            "the server asks for a password, and got none: give it beside the URL, openRoot({ url, password }), or for the command in PGPASSWORD",
        ),
        _ => fault,
    }
}

fn not_postgres(fault: Fault) -> Fault {
    if fault.passes {
        return fault;
    }
    let words = format!("this server does not know what every PostgreSQL does: {}", fault.words());
    Fault::new(CONNECT, ErrorKind::Unsupported, words)
}

impl CancelKey {
    /// As the server gave it. The client does not show it, but writes it to whatever it is given.
    async fn of(client: &Client) -> Result<Self, Fault> {
        let (near, mut far) = tokio::io::duplex(64);
        let mut key = [0; 16];
        let token = client.cancel_token();
        let (sent, read) =
            tokio::join!(token.cancel_query_raw(near, NoTls), far.read_exact(&mut key));
        match (sent, read) {
            (Ok(()), Ok(_)) => Ok(Self(key)),
            _ => Err(Fault::new(
                CONNECT,
                ErrorKind::InvalidData,
                "the server gave no key to cancel with",
            )),
        }
    }
}
