//! The lock on an etcd cluster: the line is the keys under a name, in the order of their create revisions, and a key
//! ends with its lease.
//!
//! The steps have the names of `docs/protocol-etcd.md` and the model (`crates/rootlock-model/src/etcd`): each is one
//! attempt in [`steps`], and knows of no line in the process. A [`session`] is the lease of one process, and its beats; a
//! task of an entry ([`task`]) serves the process's line. [`cluster`] calls the members, [`wire`] has their messages;
//! [`keys`] and [`url`] are pure.

mod cluster;
pub(crate) mod inspect;
mod keys;
mod session;
mod steps;
pub(crate) mod task;
pub(crate) mod url;
mod wire;

pub(crate) use cluster::Cluster;
pub(crate) use steps::Ticket;
use url::Target;

use rootlock::Options;
use std::time::Duration;

use crate::terms::Terms;

/// What the cluster can keep to of these options: it counts whole seconds, and frees the lock of whoever is silent.
pub(crate) fn terms(options: &Options) -> Result<Terms, &'static str> {
    if !options.recover {
        return Err("recover must be true on etcd, which ends the lease of whoever is silent");
    }
    let terms = Terms::of(options);
    let seconds = terms.stale.as_millis().div_ceil(1000).max(2);
    let stale = Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
    let heartbeat = options.heartbeat.min(stale / Options::MIN_STALE_IN_HEARTBEATS);
    Ok(Terms { stale, heartbeat, ..terms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_is_whole_seconds_rounded_up_and_recovery_can_not_be_refused() {
        let of = |stale, heartbeat| {
            let options = Options {
                stale: Duration::from_millis(stale),
                heartbeat: Duration::from_millis(heartbeat),
                ..Options::default()
            };
            terms(&options).map(|terms| (terms.stale.as_millis(), terms.heartbeat.as_millis()))
        };
        assert_eq!(of(900, 300), Ok((2000, 300)));
        assert_eq!(of(3001, 1000), Ok((4000, 1000)));
        assert!(terms(&Options { recover: false, ..Options::default() }).is_err());
    }
}
