//! The lock on a real server.

mod server;

use std::time::{Duration, Instant};

use rootlock::{ErrorKind, Event, LostReason, Mode, State};
use server::user::{User, hasty, once, open, release_meets_cancel};
use server::{Server, eventually};

use Mode::{Exclusive, Shared};

#[test]
fn a_writer_excludes_readers_share_and_tokens_rise() {
    let Some(server) = Server::start() else { return };
    let (root, user) = (open(&server.url()), User::new());
    let (writer, first) = user.lock(&root, Exclusive, hasty());
    let error = user.failed(user.ask(&root, Shared, once()));
    assert!(matches!(error.kind(), ErrorKind::Held), "{error}");
    assert!(
        error.holder().is_some_and(|holder| holder.own && holder.token == Some(first)),
        "{error}"
    );
    let seen = root.inspect(".lock", Duration::from_secs(30)).expect("can be seen");
    assert_eq!(seen.state, State::Exclusive);
    assert_eq!(seen.holder.and_then(|holder| holder.token), Some(first));
    user.release(writer);
    assert_eq!(
        root.inspect(".lock", Duration::from_secs(30)).expect("can be seen").state,
        State::Free
    );
    let (one, second) = user.lock(&root, Shared, hasty());
    let (other, third) = user.lock(&root, Shared, hasty());
    assert!(first < second && second < third);
    let waits = user.ask(&root, Exclusive, hasty());
    user.waits(waits);
    user.release(one);
    user.release(other);
    assert!(user.granted(waits) > third);
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rootlock'";
    eventually("one connection serves a lock", || server.sql(connections) == "1");
    user.release(waits);
    eventually("and is closed when it is not used", || server.sql(connections) == "0");
}

#[test]
fn another_process_waits_and_is_served_in_order() {
    let Some(server) = Server::start() else { return };
    // Another URL is another entry, with a connection of its own: as another process.
    let (here, there) = (open(&server.url()), open(&server.socket_url()));
    let (user, other) = (User::new(), User::new());
    let (writer, token) = user.lock(&here, Exclusive, hasty());
    let waits = other.ask(&there, Exclusive, hasty());
    match other.next() {
        (_, Event::Waiting(Some(holder))) => assert_eq!(holder.token, Some(token)),
        event => panic!("{event:?}"),
    }
    let error = other.failed(other.ask(&there, Exclusive, once()));
    assert!(matches!(error.kind(), ErrorKind::Held));
    // A wait that is given up leaves nothing at the server.
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    assert_eq!(server.sql(waiting), "1");
    let began = Instant::now();
    other.session.cancel(waits);
    let error = other.failed(waits);
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error}");
    eprintln!("cancelled in {:?}", began.elapsed());
    assert_eq!(server.sql(waiting), "0");
    let waits = other.ask(&there, Shared, hasty());
    other.waits(waits);
    user.release(writer);
    assert!(other.granted(waits) > token);
    other.release(waits);
}

#[test]
fn a_thousand_callers_of_one_lock_have_one_connection_in_order() {
    let Some(server) = Server::start() else { return };
    let (root, user) = (open(&server.url()), User::new());
    let tags: Vec<_> = (0..1000).map(|_| user.ask(&root, Exclusive, hasty())).collect();
    user.are_served_in_order(&tags);
    let most =
        server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rootlock'");
    assert!(most == "1" || most == "0", "{most} connections");
}

#[test]
fn a_terminated_session_is_a_lost_lock_at_once_and_the_next_gets_it() {
    let Some(server) = Server::start() else { return };
    let (root, user) = (open(&server.url()), User::new());
    let (tag, token) = user.lock(&root, Exclusive, hasty());
    let waits = user.ask(&root, Exclusive, hasty());
    user.waits(waits);
    let began = Instant::now();
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rootlock'");
    assert_eq!(user.lost(tag), LostReason::Hijacked);
    eprintln!("told after {:?}", began.elapsed());
    assert_eq!(user.session.lost(tag), Some(LostReason::Hijacked));
    assert!(user.granted(waits) > token);
    user.release(tag);
    user.release(waits);
}

#[test]
fn a_beaten_lock_is_kept_for_longer_than_the_server_keeps_a_silent_session() {
    let Some(server) = Server::start() else { return };
    let (root, user) = (open(&server.url()), User::new());
    let (tag, _) = user.lock(&root, Exclusive, hasty());
    let until = Instant::now() + hasty().stale * 3;
    eventually("three times T", || Instant::now() > until);
    assert_eq!(user.session.lost(tag), None);
    user.release(tag);
}

#[test]
fn after_a_restart_the_lease_is_sat_out_and_the_token_rises() {
    let Some(mut server) = Server::start() else { return };
    let (root, user) = (open(&server.url()), User::new());
    let (tag, token) = user.lock(&root, Exclusive, hasty());
    let waits = user.ask(&root, Exclusive, hasty());
    user.waits(waits);
    server.stop();
    assert_eq!(user.lost(tag), LostReason::Hijacked);
    // While it is away, a wait goes on, and can be given up.
    let gone = user.ask(&root, Exclusive, hasty());
    user.waits(gone);
    user.session.cancel(gone);
    assert!(matches!(user.failed(gone).kind(), ErrorKind::Cancelled));
    server.run();
    let began = Instant::now();
    assert!(user.granted(waits) > token);
    assert!(began.elapsed() > hasty().stale / 2, "not before the old lease is over");
    user.release(waits);
    // What was given back is not sat out.
    server.stop();
    server.run();
    let root = open(&server.url());
    let began = Instant::now();
    let (tag, _) = user.lock(&root, Exclusive, hasty());
    eprintln!("granted {:?} after a restart", began.elapsed());
    user.release(tag);
}

#[test]
fn a_release_that_meets_a_cancel_leaves_the_lock_free() {
    let Some(server) = Server::start() else { return };
    let (here, there) = (open(&server.url()), open(&server.socket_url()));
    release_meets_cancel(&here, &there, hasty(), Duration::from_micros(10));
}
