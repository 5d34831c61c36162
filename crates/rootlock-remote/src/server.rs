//! Which engine a URL leads to: the one place that knows all of them.

use std::sync::Arc;
use std::time::Duration;

use rootlock::Options;

use crate::entry::Entry;
use crate::fault::Fault;
use crate::lock::Lease;
use crate::root::Found;
use crate::runtime::Runtime;
use crate::terms::Terms;
use crate::{etcd, postgres};

/// A name space on a server.
#[derive(Clone)]
pub(crate) enum Server {
    Postgres(Arc<postgres::Target>),
    Etcd(Arc<etcd::Cluster>),
}

impl Server {
    /// Reads a URL, or says what is expected.
    pub(crate) fn parse(url: &str, runtime: &Runtime) -> Result<Self, String> {
        // A scheme is the same in any case.
        let (scheme, rest) = url.split_at_checked(url.find(':').unwrap_or(0)).unwrap_or_default();
        let url = &format!("{}{rest}", scheme.to_ascii_lowercase());
        if url.starts_with(etcd::url::SCHEME) {
            let target = etcd::url::Target::parse(url)?;
            return Ok(Self::Etcd(Arc::new(etcd::Cluster::new(target, runtime)?)));
        }
        Ok(Self::Postgres(Arc::new(postgres::Target::parse(url)?)))
    }

    /// The URL without its password.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Postgres(target) => &target.shown,
            Self::Etcd(cluster) => &cluster.target.shown,
        }
    }

    /// Whether both are the same locks, reached in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Postgres(one), Self::Postgres(other)) => one.is_same(other),
            (Self::Etcd(one), Self::Etcd(other)) => one.target.is_same(&other.target),
            _ => false,
        }
    }

    /// What the server can keep to of these options, or which it can't.
    pub(crate) fn terms(&self, options: &Options) -> Result<Terms, &'static str> {
        match self {
            Self::Postgres(_) => Ok(Terms::of(options)),
            Self::Etcd(_) => etcd::terms(options),
        }
    }

    /// Whether it keeps locks; makes what is missing.
    pub(crate) async fn prove(&self, runtime: &Arc<Runtime>) -> Result<(), Fault> {
        match self {
            Self::Postgres(target) => postgres::inspect::prove(runtime, target).await,
            Self::Etcd(cluster) => etcd::inspect::prove(cluster).await,
        }
    }

    /// Looks at a lock, and at the server.
    pub(crate) async fn ask(
        &self,
        runtime: &Arc<Runtime>,
        name: &str,
        stale: Option<Duration>,
    ) -> Result<Found, Fault> {
        match self {
            Self::Postgres(target) => postgres::inspect::ask(runtime, target, name, stale).await,
            Self::Etcd(cluster) => etcd::inspect::ask(cluster, name).await,
        }
    }

    /// Serves the requests for a lock until there are none.
    pub(crate) async fn serve(self, entry: Arc<Entry>) {
        match self {
            Self::Postgres(target) => postgres::task::run(entry, target).await,
            Self::Etcd(cluster) => etcd::task::run(entry, cluster).await,
        }
    }

    /// A lease was released by its user.
    pub(crate) fn release(&self, runtime: &Runtime, lease: Arc<Lease>) {
        match self {
            // Its session may have to pass the lock on.
            Self::Postgres(_) => Arc::clone(&lease.entry).release_later(lease),
            Self::Etcd(_) => drop(runtime.spawn(etcd::task::release(lease))),
        }
    }

    /// A lease was lost: what of it is left at the server is to go.
    pub(crate) fn has_lost(&self, runtime: &Runtime, lease: &Arc<Lease>) {
        match self {
            Self::Postgres(_) => {}
            Self::Etcd(_) => {
                let lease = Arc::clone(lease);
                runtime.spawn(async move { etcd::task::give_back(&lease).await });
            }
        }
    }
}
