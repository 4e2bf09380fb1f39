/*
 * Preloaded (LD_PRELOAD) into a daemon under test: one system call on one of its files fails, or is the last one of the
 * process. $LEAT_DISK_FAULT names a file with one line, read once at the start of the process:
 *
 *   <end of the file's path> <write|sync> <nth, from 1> <kill-before|kill-within|kill-after|errno's number> [<times>]
 *
 * kill-within: half of the bytes are written, then SIGKILL. An errno is given `times` times (default once, 0: for ever).
 * An empty or missing file: nothing happens.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum action { NONE, BEFORE, WITHIN, AFTER, FAIL };

static char suffix[256];
static char call[16];
static long nth, times;
static enum action action = NONE;
static int error;
static atomic_long count;

__attribute__((constructor)) static void read_fault(void) {
  const char *path = getenv("LEAT_DISK_FAULT");
  FILE *file = path == NULL ? NULL : fopen(path, "r");
  char what[32] = "";
  times = 1;
  if (file == NULL) return;
  if (fscanf(file, "%255s %15s %ld %31s %ld", suffix, call, &nth, what, &times) >= 4) {
    if (strcmp(what, "kill-before") == 0) action = BEFORE;
    else if (strcmp(what, "kill-within") == 0) action = WITHIN;
    else if (strcmp(what, "kill-after") == 0) action = AFTER;
    else {
      action = FAIL;
      error = atoi(what);
    }
  }
  fclose(file);
}

static void die(void) {
  kill(getpid(), SIGKILL);
  pause();
}

/* What becomes of this call. */
static enum action due(int fd, const char *name) {
  char link[64], path[4096];
  if (action == NONE || strcmp(call, name) != 0) return NONE;
  int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = saved;
  size_t end = strlen(suffix);
  if (length < (ssize_t)end || memcmp(path + length - end, suffix, end) != 0) return NONE;
  long n = atomic_fetch_add(&count, 1) + 1;
  if (action == FAIL) return n >= nth && (times == 0 || n < nth + times) ? FAIL : NONE;
  return n == nth ? action : NONE;
}

#define REAL(name) static __typeof__(&name) real; if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define PWRITE(name, offset_type)                                              \
  ssize_t name(int fd, const void *bytes, size_t size, offset_type offset) {   \
    REAL(name);                                                                \
    enum action now = due(fd, "write");                                        \
    if (now == BEFORE) die();                                                  \
    if (now == FAIL) { errno = error; return -1; }                             \
    if (now == WITHIN) { real(fd, bytes, size / 2, offset); die(); }           \
    ssize_t done = real(fd, bytes, size, offset);                              \
    if (now == AFTER) die();                                                   \
    return done;                                                               \
  }

#define SYNC(name)                                                             \
  int name(int fd) {                                                           \
    REAL(name);                                                                \
    enum action now = due(fd, "sync");                                         \
    if (now == BEFORE || now == WITHIN) die();                                 \
    if (now == FAIL) { errno = error; return -1; }                             \
    int done = real(fd);                                                       \
    if (now == AFTER) die();                                                   \
    return done;                                                               \
  }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
SYNC(fsync)
SYNC(fdatasync)
