//! A process that forks and goes on in the same program, as prefork servers do: the fork has no lock, and takes none.
#![cfg(unix)]
#![expect(unsafe_code, reason = "fork(2) can't be called safely")]

use std::fs::File;

use rootlock::{ErrorKind, Options, Request, Root};

fn at_once() -> Request<'static> {
    Request { options: Options { wait: false, ..Options::default() }, ..Request::default() }
}

/// Whether a fork finds what it should: it ends without running anything of the test's.
fn in_a_fork(finds: impl FnOnce() -> bool) -> bool {
    // SAFETY: no other thread of this test has a mutex that the fork needs, and the fork runs no code of the harness.
    match unsafe { libc::fork() } {
        -1 => panic!("{}", std::io::Error::last_os_error()),
        0 => {
            let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(finds));
            let code = i32::from(!found.unwrap_or(false));
            // SAFETY: ends at once.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 0;
            // SAFETY: the pointer is to a local.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}

fn refuses(asked: Result<impl Sized, rootlock::Error>) -> bool {
    asked.is_err_and(|error| matches!(error.kind(), ErrorKind::Io { call: "fork", .. }))
}

/// As a foreign program would find it.
#[expect(clippy::disallowed_methods, reason = "the foreign program")]
fn is_free(root: &Root) -> bool {
    let file = File::open(root.path().join(Root::LOCK_FILE)).expect("is there");
    fs4::FileExt::try_lock(&file).is_ok()
}

/// One test, because a fork has only the thread that forks.
#[test]
fn a_fork_neither_has_nor_takes_nor_frees_its_parents_locks() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = Root::open(dir.path()).expect("opens");
    // Its lock file stays open, and its run could be resumed.
    drop(root.lock(at_once()).expect("is free"));
    assert!(in_a_fork(|| refuses(root.lock(at_once()))));
    assert!(in_a_fork(|| refuses(Root::open(dir.path()))));

    let lock = root.lock(at_once()).expect("is free");
    let held = std::cell::Cell::new(Some(lock));
    assert!(in_a_fork(|| {
        let lock = held.take().expect("copied");
        let is_held = lock.is_held();
        drop(lock);
        !is_held
    }));
    let lock = held.take().expect("the parent's own");
    assert!(lock.is_held() && !is_free(&root));
    let _ = lock.unlock();
    assert!(is_free(&root));
}
