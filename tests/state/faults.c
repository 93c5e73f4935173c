/* Makes writes and syncs below one directory fail, for tests. Preloaded; armed by fault_arm. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char prefix[4096];
static long first, seen, failed;
static int error_number, for_good;

/* From the call number `at` on (1 is the next one), calls below a directory fail: one of them, or all.
   Number 0 disarms. */
void fault_arm(const char *directory, long at, int error, int persistent)
{
    strncpy(prefix, directory, sizeof prefix - 1);
    first = at;
    error_number = error;
    for_good = persistent;
    seen = failed = 0;
}

/* How many calls failed since it was armed. */
long fault_failed(void)
{
    return failed;
}

static int fails(int fd)
{
    char link[64], path[4096];
    ssize_t length;
    if (!first)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (strncmp(path, prefix, strlen(prefix)) != 0)
        return 0;
    seen++;
    if (seen != first && !(for_good && seen > first))
        return 0;
    failed++;
    errno = error_number;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t count)
{
    return fails(fd) ? -1 : REAL(write)(fd, data, count);
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t offset)
{
    return fails(fd) ? -1 : REAL(pwrite)(fd, data, count, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset)
{
    return fails(fd) ? -1 : REAL(pwrite64)(fd, data, count, offset);
}

int ftruncate(int fd, off_t length)
{
    return fails(fd) ? -1 : REAL(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    return fails(fd) ? -1 : REAL(ftruncate64)(fd, length);
}

int fsync(int fd)
{
    return fails(fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return fails(fd) ? -1 : REAL(fdatasync)(fd);
}
