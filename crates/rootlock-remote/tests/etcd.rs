//! The lock on a real etcd cluster.

mod cluster;
mod server;

use std::time::{Duration, Instant};

use cluster::Cluster;
use rootlock::{ErrorKind, Event, LostReason, Mode, Options, State};
use server::eventually;
use server::user::{User, once, open, release_meets_cancel};

use Mode::{Exclusive, Shared};

fn short() -> Options {
    Options {
        heartbeat: Duration::from_millis(500),
        stale: Duration::from_secs(2),
        ..Options::default()
    }
}

/// The same locks by another URL: another entry with a session of its own, as another process has.
fn another(url: &str) -> String {
    format!("{url}?connect_timeout=9")
}

#[test]
fn a_writer_excludes_readers_share_and_tokens_rise() {
    let Some(cluster) = Cluster::start(1) else { return };
    let (root, user) = (open(&cluster.url("a")), User::new());
    let (writer, first) = user.lock(&root, Exclusive, short());
    let error = user.failed(user.ask(&root, Shared, once()));
    assert!(matches!(error.kind(), ErrorKind::Held), "{error}");
    assert!(error.holder().is_some_and(|holder| holder.own && holder.token == Some(first)));
    let seen = root.inspect(".lock", Duration::from_secs(30)).expect("can be seen");
    assert_eq!(seen.state, State::Exclusive);
    assert_eq!(seen.holder.and_then(|holder| holder.token), Some(first));
    user.release(writer);
    let seen = root.inspect(".lock", Duration::from_secs(30)).expect("can be seen");
    assert_eq!(seen.state, State::Free);
    let (one, second) = user.lock(&root, Shared, short());
    let (other, third) = user.lock(&root, Shared, short());
    assert!(first < second && second < third);
    let waits = user.ask(&root, Exclusive, short());
    user.waits(waits);
    user.release(one);
    user.release(other);
    assert!(user.granted(waits) > third);
    user.release(waits);
}

#[test]
fn another_process_waits_and_is_served_in_order() {
    let Some(cluster) = Cluster::start(1) else { return };
    let url = cluster.url("a");
    let (here, there) = (open(&url), open(&another(&url)));
    let (user, other) = (User::new(), User::new());
    let (writer, token) = user.lock(&here, Exclusive, short());
    let waits = other.ask(&there, Exclusive, short());
    match other.next() {
        (_, Event::Waiting(Some(holder))) => assert_eq!(holder.token, Some(token)),
        event => panic!("{event:?}"),
    }
    let error = other.failed(other.ask(&there, Exclusive, once()));
    assert!(matches!(error.kind(), ErrorKind::Held));
    let line = || here.inspect(".lock", Duration::from_secs(30)).expect("can be seen");
    assert_eq!(line().waiters.map(|waiters| waiters.len()), Some(1));
    let began = Instant::now();
    other.session.cancel(waits);
    let error = other.failed(waits);
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error}");
    eprintln!("cancelled in {:?}", began.elapsed());
    assert_eq!(line().waiters.map(|waiters| waiters.len()), Some(0));
    let waits = other.ask(&there, Shared, short());
    other.waits(waits);
    let began = Instant::now();
    user.release(writer);
    assert!(other.granted(waits) > token);
    eprintln!("handed over in {:?}", began.elapsed());
    other.release(waits);
}

#[test]
fn a_reader_waits_behind_a_writer_that_waits_for_this_process() {
    let Some(cluster) = Cluster::start(1) else { return };
    let url = cluster.url("a");
    let (here, there) = (open(&url), open(&another(&url)));
    let (user, other) = (User::new(), User::new());
    let (reader, _) = user.lock(&here, Shared, short());
    let writer = other.ask(&there, Exclusive, short());
    other.waits(writer);
    let second = user.ask(&here, Shared, short());
    user.waits(second);
    user.release(reader);
    let token = other.granted(writer);
    other.release(writer);
    assert!(user.granted(second) > 0 && token > 0);
    user.release(second);
}

#[test]
fn a_thousand_callers_of_one_lock_are_served_in_order() {
    let Some(cluster) = Cluster::start(1) else { return };
    let (root, user) = (open(&cluster.url("a")), User::new());
    let tags: Vec<_> = (0..1000).map(|_| user.ask(&root, Exclusive, short())).collect();
    user.are_served_in_order(&tags);
}

#[test]
fn a_beaten_lock_is_kept_for_longer_than_its_lease_and_a_member_may_end() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let url = cluster.url("a");
    let (root, user) = (open(&url), User::new());
    // An election takes more than a second.
    let options =
        Options { heartbeat: Duration::from_secs(1), stale: Duration::from_secs(6), ..short() };
    let (tag, token) = user.lock(&root, Exclusive, options);
    for at in 0..3 {
        match at {
            1 => cluster.signal(at, "-STOP"),
            _ => cluster.kill(at),
        }
        let until = Instant::now() + options.stale * 6 / 5;
        eventually("more than T", || Instant::now() > until);
        assert_eq!(user.session.lost(tag), None, "without member {at}");
        match at {
            1 => cluster.signal(at, "-CONT"),
            _ => cluster.restart(at),
        }
        eventually("it is back", || cluster.is_up());
    }
    let waits = user.ask(&root, Exclusive, options);
    user.waits(waits);
    user.release(tag);
    assert!(user.granted(waits) > token);
    user.release(waits);
}

#[test]
fn a_wait_goes_on_when_the_cluster_is_back_and_a_cancel_ends_it_meanwhile() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    let url = cluster.url("a");
    let (here, there) = (open(&url), open(&another(&url)));
    let (user, other) = (User::new(), User::new());
    let (tag, token) = user.lock(&here, Exclusive, short());
    let (waits, gone) = (other.ask(&there, Exclusive, short()), other.ask(&there, Shared, short()));
    other.waits(waits);
    other.waits(gone);
    cluster.kill(0);
    assert_eq!(user.lost(tag), LostReason::HeartbeatFailed);
    other.session.cancel(gone);
    assert!(matches!(other.failed(gone).kind(), ErrorKind::Cancelled));
    cluster.restart(0);
    assert!(other.granted(waits) > token);
    other.release(waits);
}

#[test]
fn whoever_deletes_the_key_of_a_held_lock_is_found_out_at_once() {
    let Some(cluster) = Cluster::start(1) else { return };
    let url = cluster.url("a");
    let (root, user) = (open(&url), User::new());
    let (tag, token) = user.lock(&root, Exclusive, short());
    // Long enough for its watch to be there; it would hear of it afterwards as well.
    let until = Instant::now() + Duration::from_millis(100);
    eventually("it is held for a while", || Instant::now() > until);
    let began = Instant::now();
    cluster.delete_under("a/lock/");
    assert_eq!(user.lost(tag), LostReason::Hijacked);
    eprintln!("told after {:?}", began.elapsed());
    let (tag, next) = user.lock(&root, Exclusive, short());
    assert!(next > token);
    user.release(tag);
}

#[test]
fn a_release_that_meets_a_cancel_leaves_the_lock_free() {
    let Some(cluster) = Cluster::start(1) else { return };
    let url = cluster.url("a");
    let (here, there) = (open(&url), open(&another(&url)));
    release_meets_cancel(&here, &there, short(), Duration::from_micros(20));
}
