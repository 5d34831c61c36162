//! Which engine a URL leads to: the one place that knows all of them.

use std::sync::Arc;
use std::time::Duration;

use rootlock::Options;

use crate::entry::Entry;
use crate::fault::Fault;
use crate::postgres;
use crate::root::Found;
use crate::runtime::Runtime;
use crate::terms::Terms;

/// A name space on a server.
#[derive(Clone)]
pub(crate) enum Server {
    Postgres(Arc<postgres::Target>),
}

impl Server {
    /// Reads a URL, or says what is expected.
    pub(crate) fn parse(url: &str, _: &Arc<Runtime>) -> Result<Self, String> {
        Ok(Self::Postgres(Arc::new(postgres::Target::parse(url)?)))
    }

    /// The URL without its password.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Postgres(target) => &target.shown,
        }
    }

    /// Whether both are the same locks, reached in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Postgres(one), Self::Postgres(other)) => one.is_same(other),
        }
    }

    /// What the server can keep to of these options, or which it can't.
    pub(crate) fn terms(&self, options: &Options) -> Result<Terms, &'static str> {
        match self {
            Self::Postgres(_) => Ok(Terms::of(options)),
        }
    }

    /// Whether it keeps locks; makes what is missing.
    pub(crate) async fn prove(&self, runtime: &Arc<Runtime>) -> Result<(), Fault> {
        match self {
            Self::Postgres(target) => postgres::inspect::prove(runtime, target).await,
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
        }
    }

    /// Serves the requests for a lock until there are none.
    pub(crate) async fn serve(self, entry: Arc<Entry>) {
        match self {
            Self::Postgres(target) => postgres::task::run(entry, target).await,
        }
    }
}
