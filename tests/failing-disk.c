/*
 * A disk that fails when it is told to, for tests: loaded into the server by LD_PRELOAD.
 *
 * FAILING_DISK_BELOW names the folder whose files fail. FAILING_DISK_CONTROL names a file of
 * four 32-bit words that the test rewrites while the server runs: a seed, the errno, a word that
 * is not used, and N: one of N writing operations fails. N = 0: none does.
 *
 * A failed sync drops nothing here, and a failed write may have written a part: half of it, as a real disk may.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    volatile uint32_t seed;
    volatile uint32_t error;
    volatile uint32_t unused;
    volatile uint32_t one_in;
};

static struct control *control;
static const char *below;
static uint32_t state;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAILING_DISK_CONTROL");
    below = getenv("FAILING_DISK_BELOW");
    if (!path || !below)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        control = mapped;
    close(fd);
}

static int is_ours(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

/* Whether this operation fails; sets errno if so. */
static int fails(int fd)
{
    if (!control || control->one_in == 0 || !is_ours(fd))
        return 0;
    uint32_t number = __atomic_add_fetch(&state, 0x9e3779b9u, __ATOMIC_RELAXED) ^ control->seed;
    number ^= number >> 16;
    number *= 0x85ebca6bu;
    number ^= number >> 13;
    number *= 0xc2b2ae35u;
    number ^= number >> 16;
    if (number % control->one_in != 0)
        return 0;
    errno = (int)control->error;
    return 1;
}

#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t length)
{
    NEXT(write);
    if (fails(fd)) {
        int error = errno;
        if (length > 1 && next(fd, bytes, length / 2) < 0)
            return -1;
        errno = error;
        return -1;
    }
    return next(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    NEXT(pwrite64);
    if (fails(fd)) {
        int error = errno;
        if (length > 1 && next(fd, bytes, length / 2, offset) < 0)
            return -1;
        errno = error;
        return -1;
    }
    return next(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    NEXT(pwrite);
    if (fails(fd))
        return -1;
    return next(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    NEXT(writev);
    if (fails(fd))
        return -1;
    return next(fd, pieces, count);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    NEXT(pwritev64);
    if (fails(fd))
        return -1;
    return next(fd, pieces, count, offset);
}

int fsync(int fd)
{
    NEXT(fsync);
    if (fails(fd))
        return -1;
    return next(fd);
}

int fdatasync(int fd)
{
    NEXT(fdatasync);
    if (fails(fd))
        return -1;
    return next(fd);
}

int ftruncate64(int fd, off64_t length)
{
    NEXT(ftruncate64);
    if (fails(fd))
        return -1;
    return next(fd, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    NEXT(fallocate64);
    if (fails(fd))
        return -1;
    return next(fd, mode, offset, length);
}
