/* Stands in for /dev/udmabuf, which a container has not: libcamera's virtual camera takes its buffers from there.
 *
 * The real device turns a sealed memory file into a dma-buf. Here the memory file itself serves, under a second number:
 * it can be mapped and shared just the same, and on a PC there are no caches to bring in step (DMA_BUF_IOCTL_SYNC).
 * Preload it: LD_PRELOAD=./udmabuf.so.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static const char DEVICE[] = "/dev/udmabuf";

static int open_by(const char *name, const char *path, int flags, mode_t mode) {
  int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
  if (path != NULL && strcmp(path, DEVICE) == 0) path = "/dev/null"; /* a number to speak ioctl with */
  return next(path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return open_by("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return open_by("open64", path, flags, mode);
}

int __open_2(const char *path, int flags) { return open_by("open", path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_by("open64", path, flags, 0); }

int ioctl(int file, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (request == UDMABUF_CREATE) return fcntl(((struct udmabuf_create *)argument)->memfd, F_DUPFD_CLOEXEC, 0);
  if (request == DMA_BUF_IOCTL_SYNC) return 0;
  int (*next)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
  return next(file, request, argument);
}
