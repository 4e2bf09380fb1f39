/* Preloaded (LD_PRELOAD): fsync and fdatasync take $BENCH_FSYNC_MS longer, as those of a cloud's network disks do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_first(void) {
  const char *text = getenv("BENCH_FSYNC_MS");
  long ms = text == NULL ? 0 : atol(text);
  struct timespec time = {ms / 1000, (ms % 1000) * 1000000L};
  if (ms > 0) nanosleep(&time, NULL);
}

int fsync(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  wait_first();
  return real(fd);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  wait_first();
  return real(fd);
}
