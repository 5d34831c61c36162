//! Calls the members of a cluster: one at a time, the next one when it does not answer.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::Message;
use rootlock_sys::{clock, sync};
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::url::Target;
use super::wire;
use crate::fault::Fault;
use crate::net::{CONNECT, Socket};
use crate::runtime::Runtime;
use crate::url::{Host, Link};

/// How long a member may take to answer, if nothing is more urgent.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// Pings show that a connection is gone that would be silent for hours otherwise. Members refuse more than one in 5 s.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// How long nobody asks again for a token that was refused.
const REFUSED: Duration = Duration::from_secs(1);

/// The longest answer: a line of thousands, or what others put among its keys.
const LONGEST: usize = 64 << 20;

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) target: Target,
    members: Vec<Member>,
    /// The member that is called.
    current: AtomicUsize,
    /// The highest revision that the answer to a transaction has shown.
    seen: AtomicI64,
    /// A later one showed a lower revision, and `base` does not say so yet.
    gone_back: AtomicBool,
    /// What the user's name and password were answered with.
    token: Mutex<Option<Token>>,
    /// Whoever asks for a token; and when one was refused last, and why.
    login: tokio::sync::Mutex<Option<(Duration, Fault)>>,
}

type Token = MetadataValue<Ascii>;

struct Member {
    host: Host,
    channels: Mutex<Channels>,
}

/// Connections that are made when they are needed.
#[derive(Clone)]
struct Channels {
    calls: Channel,
    /// A member, or what is before it, may limit the streams of a connection: watches leave no room for beats.
    watches: Channel,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The lease is over.
    NoLease,
    /// There is such a lease.
    LeaseExists,
    Fault(Fault),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Failed {
    pub(super) fn into_fault(self, call: &'static str) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::NoLease => Fault::away(call, ErrorKind::NotFound, "the lease is over"),
            Self::LeaseExists => Fault::away(call, ErrorKind::AlreadyExists, "the lease exists"),
        }
    }
}

/// A method of etcd's, with what it takes and answers.
pub(super) struct Method<Q, A>(&'static str, std::marker::PhantomData<fn(Q) -> A>);

macro_rules! methods {
    ($($name:ident: $path:literal, $request:ident, $answer:ident;)*) => {
        $(pub(super) const $name: Method<wire::$request, wire::$answer> =
            Method($path, std::marker::PhantomData);)*
    };
}

methods! {
    RANGE: "/etcdserverpb.KV/Range", RangeRequest, RangeResponse;
    TXN: "/etcdserverpb.KV/Txn", TxnRequest, TxnResponse;
    LEASE_GRANT: "/etcdserverpb.Lease/LeaseGrant", LeaseGrantRequest, LeaseGrantResponse;
    LEASE_REVOKE: "/etcdserverpb.Lease/LeaseRevoke", LeaseRevokeRequest, LeaseRevokeResponse;
    LEASE_KEEP_ALIVE: "/etcdserverpb.Lease/LeaseKeepAlive", LeaseKeepAliveRequest, LeaseKeepAliveResponse;
    LEASE_TIME_TO_LIVE: "/etcdserverpb.Lease/LeaseTimeToLive", LeaseTimeToLiveRequest, LeaseTimeToLiveResponse;
    WATCH: "/etcdserverpb.Watch/Watch", WatchRequest, WatchResponse;
    AUTHENTICATE: "/etcdserverpb.Auth/Authenticate", AuthenticateRequest, AuthenticateResponse;
    STATUS: "/etcdserverpb.Maintenance/Status", StatusRequest, StatusResponse;
}

impl Cluster {
    /// Connects to nobody yet.
    pub(crate) fn new(target: Target, runtime: &Runtime) -> Result<Self, String> {
        let _inside = runtime.enter();
        let members = target.hosts.iter().map(|host| {
            let channels = Mutex::new(channels(&target.link, host)?);
            Ok(Member { host: host.clone(), channels })
        });
        let members = members.collect::<Result<_, String>>()?;
        Ok(Self {
            target,
            members,
            current: AtomicUsize::new(0),
            seen: AtomicI64::new(0),
            gone_back: AtomicBool::new(false),
            token: Mutex::default(),
            login: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn seen(&self) -> i64 {
        self.seen.load(Ordering::Acquire)
    }

    /// A transaction that was sent when that was the highest revision has shown this one. Whether revisions have gone back: then it
    /// is another history, of a cluster that was restored.
    pub(super) fn sees(&self, revision: i64, known: i64) -> bool {
        let goes_back = revision != 0 && revision < known;
        if goes_back {
            self.gone_back.store(true, Ordering::Release);
            self.seen.store(revision, Ordering::Release);
        } else {
            self.seen.fetch_max(revision, Ordering::AcqRel);
        }
        goes_back
    }

    pub(super) fn has_gone_back(&self) -> bool {
        self.gone_back.load(Ordering::Acquire)
    }

    /// `base` says so now.
    pub(super) fn has_told_that(&self) {
        self.gone_back.store(false, Ordering::Release);
    }

    /// That one's connections may be dead without anybody having been told: the next calls make new ones.
    pub(super) fn reconnect(&self, at: usize) {
        let member = &self.members[at];
        if let Ok(channels) = channels(&self.target.link, &member.host) {
            *sync::lock(&member.channels) = channels;
        }
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.members.len()
    }

    /// The member that is called now.
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// That one does not answer: from now on the next one is called, unless somebody has seen to that already.
    pub(super) fn turn_from(&self, at: usize) {
        let next = (at + 1) % self.members.len();
        let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Calls one member after the other, until one answers. Each gets this much time.
    pub(super) async fn call<Q, A>(
        &self,
        step: &'static str,
        method: Method<Q, A>,
        request: Q,
        patience: Duration,
    ) -> Result<A, Failed>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.call_telling(step, method, request, patience, &mut false).await
    }

    /// The same; says whether a member may have got the request that did not answer it.
    pub(super) async fn call_telling<Q, A>(
        &self,
        step: &'static str,
        method: Method<Q, A>,
        request: Q,
        patience: Duration,
        unanswered: &mut bool,
    ) -> Result<A, Failed>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let mut first = None;
        for _ in 0..self.members.len() {
            let at = self.current();
            let failed = match self.call_at(at, step, &method, request.clone(), patience).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            match &failed {
                Failed::Fault(fault) if fault.passes => {
                    *unanswered |= fault.kind() != ErrorKind::ConnectionRefused;
                }
                _ => return Err(failed),
            }
            self.turn_from(at);
            first.get_or_insert(failed);
        }
        Err(first.unwrap_or_else(|| Fault::silent(step).into()))
    }

    /// Calls this member.
    pub(super) async fn call_at<Q, A>(
        &self,
        at: usize,
        step: &'static str,
        method: &Method<Q, A>,
        request: Q,
        patience: Duration,
    ) -> Result<A, Failed>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let calling = async {
            let mut renewed = false;
            loop {
                let token = self.token_at(at, step).await?;
                let authorized = authorized(request.clone(), token.as_ref());
                match self.unary(at, method, authorized).await {
                    Ok(answer) => return Ok(answer),
                    // Tokens expire, and are for one member if they are simple.
                    Err(status) if self.is_unknown_token(&status) && !renewed => {
                        renewed = true;
                        self.forget(token.as_ref());
                    }
                    Err(status) => return Err(self.judge(step, at, &status)),
                }
            }
        };
        timeout(patience, calling).await.unwrap_or_else(|_| Err(self.silent(step, at).into()))
    }

    async fn unary<Q, A>(
        &self,
        at: usize,
        method: &Method<Q, A>,
        request: Request<Q>,
    ) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = grpc(self.members[at].channels().calls);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec = ProstCodec::<Q, A>::default();
        grpc.unary(request, PathAndQuery::from_static(method.0), codec)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Opens a stream of beats with this member.
    pub(super) async fn beat_at(
        &self,
        at: usize,
        step: &'static str,
        requests: impl Stream<Item = wire::LeaseKeepAliveRequest> + Send + 'static,
    ) -> Result<Streaming<wire::LeaseKeepAliveResponse>, Failed> {
        self.open(self.members[at].channels().calls, at, step, &LEASE_KEEP_ALIVE, requests).await
    }

    /// Opens a stream of watches.
    pub(super) async fn watch_at(
        &self,
        at: usize,
        step: &'static str,
        requests: impl Stream<Item = wire::WatchRequest> + Send + 'static,
    ) -> Result<Streaming<wire::WatchResponse>, Failed> {
        self.open(self.members[at].channels().watches, at, step, &WATCH, requests).await
    }

    async fn open<Q, A>(
        &self,
        channel: Channel,
        at: usize,
        step: &'static str,
        method: &Method<Q, A>,
        requests: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>, Failed>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = grpc(channel);
        let opening = async {
            let token = self.token_at(at, step).await?;
            let requests = authorized(requests, token.as_ref());
            let ready = grpc.ready().await.map_err(|error| Status::from_error(error.into()));
            ready.map_err(|status| self.judge(step, at, &status))?;
            let codec = ProstCodec::<Q, A>::default();
            let opened = grpc.streaming(requests, PathAndQuery::from_static(method.0), codec).await;
            opened.map(tonic::Response::into_inner).map_err(|status| {
                if self.is_unknown_token(&status) {
                    self.forget(token.as_ref());
                }
                self.judge(step, at, &status)
            })
        };
        timeout(ANSWER, opening).await.unwrap_or_else(|_| Err(self.silent(step, at).into()))
    }

    fn token(&self) -> MutexGuard<'_, Option<Token>> {
        sync::lock(&self.token)
    }

    /// A token that was refused. Somebody may have another one by now.
    fn forget(&self, refused: Option<&Token>) {
        let mut token = self.token();
        if token.as_ref() == refused {
            *token = None;
        }
    }

    fn is_unknown_token(&self, status: &Status) -> bool {
        let is_old = status.message().contains("revision of auth store is old");
        self.target.user.is_some() && (is_old || status.code() == Code::Unauthenticated)
    }

    /// The user's token, if there is a user. One call asks for it, and all others wait for that: a cluster takes long to compare
    /// a password.
    async fn token_at(&self, at: usize, step: &'static str) -> Result<Option<Token>, Failed> {
        let Some(user) = &self.target.user else { return Ok(None) };
        let known = || self.token().clone();
        if let Some(token) = known() {
            return Ok(Some(token));
        }
        let mut refused = self.login.lock().await;
        if let Some(token) = known() {
            return Ok(Some(token));
        }
        if let Some((when, fault)) = &*refused
            && clock::awake().saturating_sub(*when) < REFUSED
        {
            return Err(fault.clone().into());
        }
        let password = self.target.password.as_ref().map(|it| it.0.clone()).unwrap_or_default();
        let question = wire::AuthenticateRequest { name: user.clone(), password };
        let answer = self.unary(at, &AUTHENTICATE, Request::new(question)).await;
        let answer = answer.map_err(|status| self.judge(step, at, &status).into_fault(step));
        let token = answer.and_then(|answer| {
            let words = "the member's token can't be sent";
            answer.token.parse().map_err(|_| Fault::new(step, ErrorKind::InvalidData, words))
        });
        match token {
            Ok(token) => Ok(Some(self.token().insert(token).clone())),
            Err(fault) => {
                *refused = (!fault.passes).then(|| (clock::awake(), fault.clone()));
                Err(fault.into())
            }
        }
    }

    fn silent(&self, step: &'static str, at: usize) -> Fault {
        let words = format!("{} does not answer", self.members[at].host.shown());
        Fault::away(step, ErrorKind::TimedOut, words)
    }

    /// What a status means here. etcd's own text is quoted: it names no password.
    fn judge(&self, step: &'static str, at: usize, status: &Status) -> Failed {
        let host = self.members[at].host.shown();
        let said = status.message();
        if let Some(fault) = connecting(status) {
            return fault.clone().into();
        }
        let of = |kind, what: &str| Fault::new(step, kind, format!("{said}: {what}")).into();
        match status.code() {
            Code::NotFound if said.contains("lease not found") => Failed::NoLease,
            Code::FailedPrecondition if said.contains("lease already exists") => {
                Failed::LeaseExists
            }
            Code::Unauthenticated => {
                of(ErrorKind::PermissionDenied, "correct user and password in the URL")
            }
            Code::InvalidArgument if said.contains("authentication failed") => {
                of(ErrorKind::PermissionDenied, "correct user and password in the URL")
            }
            Code::InvalidArgument if said.contains("user name is empty") => of(
                ErrorKind::PermissionDenied,
                "name a user in the URL, etcd://user:password@host/prefix, or a client certificate, sslcert and sslkey",
            ),
            Code::FailedPrecondition if said.contains("authentication is not enabled") => {
                of(ErrorKind::InvalidInput, "leave user and password out of the URL")
            }
            Code::PermissionDenied => {
                let prefix = &self.target.prefix;
                let user = self.target.user.as_deref().unwrap_or("the certificate's user");
                let what = format!(
                    "{user} needs a role that may read and write the keys under it: etcdctl role grant-permission \
                     ROLE --prefix=true readwrite {prefix}/"
                );
                of(ErrorKind::PermissionDenied, &what)
            }
            Code::ResourceExhausted if said.contains("space") => of(
                ErrorKind::StorageFull,
                "compact and defragment the cluster, then disarm its alarm (etcdctl alarm disarm)",
            ),
            Code::Unimplemented => {
                of(ErrorKind::Unsupported, "this server only looks like etcd, version 3")
            }
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::Internal
            | Code::Unknown
            | Code::ResourceExhausted => {
                let words = match said {
                    // Nobody has answered in HTTP/2.
                    "transport error" => format!(
                        "{host} closes the connection: start a member of etcd there, and if it is one, see whether it wants \
                         TLS (sslmode) or a client certificate (sslcert, sslkey)"
                    ),
                    "Unexpected EOF decoding stream." => {
                        format!(
                            "{host} answers, but not as a member of etcd: correct host and port"
                        )
                    }
                    said => format!("{host}: {said}"),
                };
                Fault::away(step, ErrorKind::ConnectionReset, words).into()
            }
            code => {
                let words = format!("{host}: {said} ({code:?})");
                Fault::new(step, ErrorKind::Other, words).into()
            }
        }
    }
}

impl Member {
    fn channels(&self) -> Channels {
        sync::lock(&self.channels).clone()
    }
}

fn grpc(channel: Channel) -> Grpc<Channel> {
    Grpc::new(channel).max_decoding_message_size(LONGEST)
}

/// A request that a member without a leader refuses, with the user's token.
fn authorized<T>(request: T, token: Option<&Token>) -> Request<T> {
    let mut request = Request::new(request);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.clone());
    }
    request
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Why there is no connection, if that is it.
fn connecting(status: &Status) -> Option<&Fault> {
    let mut source = StdError::source(status);
    while let Some(error) = source {
        if let Some(fault) = error.downcast_ref() {
            return Some(fault);
        }
        source = error.source();
    }
    None
}

fn channels(link: &Link, host: &Host) -> Result<Channels, String> {
    Ok(Channels { calls: channel(link, host)?, watches: channel(link, host)? })
}

fn channel(link: &Link, host: &Host) -> Result<Channel, String> {
    let uri = format!("http://{}", host.shown());
    let endpoint = Endpoint::from_shared(uri)
        .map_err(|_| format!("{} is no host and port", host.shown()))?
        .http2_keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .connect_timeout(link.connect_timeout);
    let (link, host) = (link.clone(), host.clone());
    let connector = tower::service_fn(move |_: Uri| {
        let (link, host) = (link.clone(), host.clone());
        async move {
            let socket = Socket::open_with_tls(&link, &host).await;
            socket.map(TokioIo::new)
        }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// The step that errors of a connection name.
pub(super) const OPEN: &str = CONNECT;
