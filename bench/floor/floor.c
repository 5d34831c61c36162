/*
 * The floor: the cost of a free lock if only its system calls are counted.
 *
 *   floor full <root> <seconds>   the calls of rootlock's acquire + release
 *   floor seed <root> <seconds>   the calls of the Go package that rootlock's design comes from
 *
 * Prints one line: `<pairs> <nanoseconds>`. One process, one thread, nobody else wants the lock.
 *
 * `full` must stay aligned with the list in docs/waiting.md, which a test compares with a trace: one
 * line per call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOCK_NAME ".lock"
#define GUARD_NAME ".lock.guard"
#define LEDGER_READ 1024
#define LEDGER_WRITE 512

static const char *root;
static char ledger[LEDGER_READ];

/* A call that fails makes the number meaningless, so it ends the program and says where. */
static int ok(const char *name, long result) {
  if (result < 0) {
    fprintf(stderr, "floor: %s: %s\n", name, strerror(errno));
    exit(1);
  }
  return (int)result;
}

static int open_file(int dir, const char *name) {
  int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOATIME;
  return ok(name, openat(dir, name, flags, 0600));
}

/* What rootlock keeps open between two locks of one path in quick succession. */
static int kept_dir, kept_lock, kept_guard;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* When the run began that the next lock may go on with. */
static int64_t run_began;
#define RUN_NS 1000000

/* The first grant of a run, once a millisecond. The list, in order: */
static void grant(void) {
  struct stat st;

  run_began = now_ns();
  ok("flock G", flock(kept_guard, LOCK_EX | LOCK_NB));
  ok("fstatat G", fstatat(kept_dir, GUARD_NAME, &st, AT_SYMLINK_NOFOLLOW));
  ok("fstatat L", fstatat(kept_dir, LOCK_NAME, &st, AT_SYMLINK_NOFOLLOW));
  ok("pread G", pread(kept_guard, ledger, LEDGER_READ, 0));
  struct timespec times[2] = {{0, UTIME_OMIT}, {0, 0}};
  clock_gettime(CLOCK_REALTIME, &times[1]);
  ok("futimens L", futimens(kept_lock, times));
  ok("pwrite G", pwrite(kept_guard, ledger, LEDGER_WRITE, 0));
  ok("unlock G", flock(kept_guard, LOCK_UN));
  ok("fstat L", fstat(kept_lock, &st));
}

/* rootlock, path given as a string, again and again. The list, in order: */
static void full_pair(void) {
  struct stat st;

  /* acquire: does the path still lead to the directory that is open? */
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_CACHED};
  long opened;
  /* EAGAIN: something else in the tree was renamed or mounted just now. */
  do opened = syscall(SYS_openat2, AT_FDCWD, root, &how, sizeof how);
  while (opened < 0 && errno == EAGAIN);
  int dir = ok("open dir", opened);
  struct statx stx;
  ok("statx dir", statx(dir, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0x4000 | STATX_INO, &stx));
  ok("close dir", close(dir));
  ok("flock L", flock(kept_lock, LOCK_EX | LOCK_NB));
  if (now_ns() - run_began < RUN_NS) {
    ok("fstatat L", fstatat(kept_dir, LOCK_NAME, &st, AT_SYMLINK_NOFOLLOW));
  } else {
    grant();
  }

  /* release */
  ok("unlock L", flock(kept_lock, LOCK_UN));
}

/* The Go package: no directory handle, no guard, no ledger, a truncation as heartbeat. */
static char seed_path[4096];
static void seed_pair(void) {
  struct stat st;

  /* acquire */
  int lock = ok("open", open(seed_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ok("flock", flock(lock, LOCK_EX | LOCK_NB));
  ok("ftruncate", ftruncate(lock, 0));
  ok("fstat", fstat(lock, &st));
  ok("stat", stat(seed_path, &st));

  /* release */
  ok("unlock", flock(lock, LOCK_UN));
  ok("close", close(lock));
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: floor full|seed <root> <seconds>\n");
    return 2;
  }
  void (*pair)(void) = strcmp(argv[1], "seed") == 0 ? seed_pair : full_pair;
  root = argv[2];
  snprintf(seed_path, sizeof seed_path, "%s/" LOCK_NAME, root);
  memset(ledger, ' ', sizeof ledger);

  /* The guard of a root that has been locked before has its whole ledger. */
  kept_dir = ok("open dir", openat(AT_FDCWD, root, O_PATH | O_DIRECTORY | O_CLOEXEC));
  kept_lock = open_file(kept_dir, LOCK_NAME);
  kept_guard = open_file(kept_dir, GUARD_NAME);
  ok("fill G", pwrite(kept_guard, ledger, LEDGER_READ, 0));

  for (int i = 0; i < 1000; i++) pair();
  int64_t start = now_ns();
  int64_t end = start + (int64_t)(atof(argv[3]) * 1e9);
  int64_t pairs = 0;
  int64_t now;
  do {
    for (int i = 0; i < 64; i++) pair();
    pairs += 64;
    now = now_ns();
  } while (now < end);
  printf("%lld %lld\n", (long long)pairs, (long long)(now - start));
  return 0;
}
