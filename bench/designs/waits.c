/*
 * Three ways to wait for a lock between processes, side by side; docs/waiting.md has the results.
 *
 *   waits block <file> <processes> <hold µs> <seconds>     blocking flock: the kernel's own queue
 *   waits inotify <file> <processes> <hold µs> <seconds>   attempts, woken by IN_CLOSE_WRITE
 *   waits queue <file> <processes> <hold µs> <seconds>     blocking flock, for the head of a queue
 *
 * Every process acquires the lock, holds it, releases and closes it, and asks again. Prints one line:
 * grants/s, Jain's fairness of the processes, hand-over p50 and p99 (from just before the release
 * to the next grant, when that is another process's), wake-ups per grant (voluntary switches).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_PROCESSES 64
#define MOST_HANDOVERS 1000000

/* Shared by all processes; written under the lock, except `done` and each process's own counts. */
static struct shared {
  int64_t released_at; /* by whom it was released last, and when */
  int released_by;
  long handovers;
  int32_t handover_ns[MOST_HANDOVERS];
  long grants[MOST_PROCESSES];
  long switches[MOST_PROCESSES];
  volatile int done;
} *shared;

enum design { BLOCK, INOTIFY, QUEUE };

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wait_blocked(int fd) {
  while (flock(fd, LOCK_EX) < 0 && errno == EINTR);
}

static void wait_for_events(int fd, const char *path) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return;
  int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  inotify_add_watch(events, path, IN_CLOSE_WRITE);
  char buffer[4096];
  while (!shared->done) {
    /* The event comes slightly before the lock is free. */
    for (int i = 0; i < 20; i++) {
      if (flock(fd, LOCK_EX | LOCK_NB) == 0) goto granted;
      sched_yield();
    }
    struct pollfd wanted = {.fd = events, .events = POLLIN};
    poll(&wanted, 1, 50);
    while (read(events, buffer, sizeof buffer) > 0);
  }
granted:
  close(events);
}

/* The queue is an exclusive lock on a far byte of another file, held by its head. */
static int queue = -1;
static int at_head;

static void place(int call, short type) {
  struct flock head = {.l_type = type, .l_start = (off_t)1 << 40, .l_len = 1};
  while (fcntl(queue, call, &head) < 0 && errno == EINTR);
}

static void wait_queued(int fd) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return;
  place(F_OFD_SETLKW, F_WRLCK);
  at_head = 1;
  wait_blocked(fd);
}

static void leave_queue(void) {
  if (at_head) place(F_OFD_SETLK, F_UNLCK);
  at_head = 0;
}

static void work(int self, enum design design, const char *path, long hold_us) {
  if (design == QUEUE) {
    char name[4096];
    snprintf(name, sizeof name, "%s.queue", path);
    queue = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  }
  while (!shared->done) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (design == INOTIFY) wait_for_events(fd, path);
    else if (design == QUEUE) wait_queued(fd);
    else wait_blocked(fd);
    int64_t granted = now_ns();
    if (shared->released_at && shared->released_by != self && shared->handovers < MOST_HANDOVERS)
      shared->handover_ns[shared->handovers++] = (int32_t)(granted - shared->released_at);
    shared->grants[self]++;
    leave_queue();
    if (hold_us) {
      struct timespec hold = {0, hold_us * 1000};
      nanosleep(&hold, NULL);
    }
    shared->released_by = self;
    shared->released_at = now_ns();
    flock(fd, LOCK_UN);
    close(fd);
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  shared->switches[self] = usage.ru_nvcsw;
}

static int by_size(const void *a, const void *b) {
  return *(const int32_t *)a - *(const int32_t *)b;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: waits block|inotify|queue <file> <processes> <hold µs> <seconds>\n");
    return 2;
  }
  enum design design = BLOCK;
  if (strcmp(argv[1], "inotify") == 0) design = INOTIFY;
  if (strcmp(argv[1], "queue") == 0) design = QUEUE;
  int processes = atoi(argv[3]);
  long hold_us = atol(argv[4]);
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < processes; i++)
    if (fork() == 0) {
      work(i, design, argv[2], hold_us);
      _exit(0);
    }
  double seconds = atof(argv[5]);
  struct timespec window = {(time_t)seconds, 0};
  nanosleep(&window, NULL);
  shared->done = 1;
  while (wait(NULL) > 0);
  double sum = 0, squares = 0, switches = 0;
  for (int i = 0; i < processes; i++) {
    double grants = (double)shared->grants[i];
    sum += grants;
    squares += grants * grants;
    /* Sleeping while holding is a switch too, but not of a wait. */
    switches += (double)shared->switches[i] - (hold_us ? grants : 0);
  }
  long n = shared->handovers;
  qsort(shared->handover_ns, (size_t)n, sizeof *shared->handover_ns, by_size);
  printf("%-8s %2d processes, hold %4ld us: %8.0f grants/s  Jain %.3f  hand-over p50 %6.1f us  "
         "p99 %8.1f us  wake-ups/grant %.2f\n",
         argv[1], processes, hold_us, sum / seconds, sum * sum / (processes * squares),
         n ? shared->handover_ns[n / 2] / 1e3 : 0, n ? shared->handover_ns[n * 99 / 100] / 1e3 : 0,
         switches / sum);
  return 0;
}
