/* Makes calls below one directory fail, for tests, and records what they did. Preloaded; armed by fault_arm, or by
   fault_simulate, which chooses calls at random and records to a file what was written and synced in which order. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char prefix[4096];
static long first, seen, failed;
static int error_number, for_good;
static uint64_t state;
static int recorder = -1, per_mille, short_per_mille;

/* From the call number `at` on (1 is the next one), calls below a directory fail: one of them, or all.
   Number 0 disarms. */
void fault_arm(const char *directory, long at, int error, int persistent)
{
    strncpy(prefix, directory, sizeof prefix - 1);
    first = at;
    error_number = error;
    for_good = persistent;
    seen = failed = 0;
    per_mille = short_per_mille = 0;
    recorder = -1;
}

/* How many calls failed since it was armed. */
long fault_failed(void)
{
    return failed;
}

/* From now on, calls below a directory fail, or do a part only, with these probabilities. What they do is recorded to a
   descriptor, -1 for none. An empty directory ends that. */
void fault_simulate(const char *directory, uint64_t seed, int failing, int shortened, int record)
{
    strncpy(prefix, directory, sizeof prefix - 1);
    state = seed * 2654435761u + 1;
    first = seen = failed = 0;
    per_mille = failing;
    short_per_mille = shortened;
    recorder = record;
}

static int chance(int of_thousand)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return of_thousand && (int)((state >> 33) % 1000) < of_thousand;
}

static int path_of(int fd, char *path)
{
    char link[64];
    ssize_t length;
    if (!prefix[0])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, 4095);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

static int fails(int fd)
{
    char path[4096];
    if ((!first && !per_mille) || !path_of(fd, path))
        return 0;
    if (per_mille) {
        if (!chance(per_mille))
            return 0;
        failed++;
        errno = chance(500) ? EIO : ENOSPC;
        return 1;
    }
    seen++;
    if (seen != first && !(for_good && seen > first))
        return 0;
    failed++;
    errno = error_number;
    return 1;
}

static size_t shortened(int fd, size_t count)
{
    char path[4096];
    if (count < 2 || !short_per_mille || !path_of(fd, path) || !chance(short_per_mille))
        return count;
    failed++;
    return 1 + (state >> 33) % (count - 1);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A record: operation, length of the path, path, offset, length of the data, data. */
static void record(char operation, const char *path, int64_t offset, const void *data, int64_t length)
{
    int32_t of_path = strlen(path);
    int saved = errno;
    if (recorder < 0)
        return;
    REAL(write)(recorder, &operation, 1);
    REAL(write)(recorder, &of_path, sizeof of_path);
    REAL(write)(recorder, path, of_path);
    REAL(write)(recorder, &offset, sizeof offset);
    REAL(write)(recorder, &length, sizeof length);
    if (length)
        REAL(write)(recorder, data, length);
    errno = saved;
}

/* Notes in the record how many commits were acknowledged. */
void fault_note(int64_t acknowledged)
{
    record('a', "", acknowledged, 0, 0);
}

static void record_fd(char operation, int fd, int64_t offset, const void *data, int64_t length)
{
    char path[4096];
    if (recorder >= 0 && path_of(fd, path))
        record(operation, path, offset, data, length);
}

#define WRITE(call, at)                                  \
    ssize_t done;                                        \
    int64_t offset = recorder < 0 ? 0 : (at);            \
    if (fails(fd))                                       \
        return -1;                                       \
    count = shortened(fd, count);                        \
    done = call;                                         \
    if (done > 0)                                        \
        record_fd('w', fd, offset, data, done);          \
    return done;

ssize_t write(int fd, const void *data, size_t count)
{
    WRITE(REAL(write)(fd, data, count), lseek(fd, 0, SEEK_CUR))
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t offset_)
{
    WRITE(REAL(pwrite)(fd, data, count, offset_), offset_)
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset_)
{
    WRITE(REAL(pwrite64)(fd, data, count, offset_), offset_)
}

ssize_t read(int fd, void *data, size_t count)
{
    return per_mille && fails(fd) ? -1 : REAL(read)(fd, data, count);
}

ssize_t pread(int fd, void *data, size_t count, off_t offset)
{
    return per_mille && fails(fd) ? -1 : REAL(pread)(fd, data, shortened(fd, count), offset);
}

ssize_t pread64(int fd, void *data, size_t count, off64_t offset)
{
    return per_mille && fails(fd) ? -1 : REAL(pread64)(fd, data, shortened(fd, count), offset);
}

#define TRUNCATE(call)                                   \
    int result = fails(fd) ? -1 : call;                  \
    if (!result)                                         \
        record_fd('t', fd, length, 0, 0);                \
    return result;

int ftruncate(int fd, off_t length)
{
    TRUNCATE(REAL(ftruncate)(fd, length))
}

int ftruncate64(int fd, off64_t length)
{
    TRUNCATE(REAL(ftruncate64)(fd, length))
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    int result = per_mille && fails(fd) ? -1 : REAL(fallocate)(fd, mode, offset, length);
    if (!result && mode & FALLOC_FL_PUNCH_HOLE)
        record_fd('h', fd, offset, &length, sizeof length);
    return result;
}

#define SYNC(call)                                       \
    int result = fails(fd) ? -1 : call;                  \
    record_fd(result ? 'x' : 's', fd, 0, 0, 0);          \
    return result;

int fsync(int fd)
{
    SYNC(REAL(fsync)(fd))
}

int fdatasync(int fd)
{
    SYNC(REAL(fdatasync)(fd))
}

#define OPEN(call)                                       \
    int fd;                                              \
    mode_t mode = 0;                                     \
    if (flags & O_CREAT) {                               \
        va_list more;                                    \
        va_start(more, flags);                           \
        mode = va_arg(more, mode_t);                     \
        va_end(more);                                    \
    }                                                    \
    fd = call;                                           \
    if (fd >= 0 && flags & O_CREAT)                      \
        record_fd(flags & O_TRUNC ? 'n' : 'c', fd, 0, 0, 0); \
    return fd;

int open(const char *path, int flags, ...)
{
    OPEN(REAL(open)(path, flags, mode))
}

int open64(const char *path, int flags, ...)
{
    OPEN(REAL(open64)(path, flags, mode))
}

int openat(int folder, const char *path, int flags, ...)
{
    OPEN(REAL(openat)(folder, path, flags, mode))
}

int openat64(int folder, const char *path, int flags, ...)
{
    OPEN(REAL(openat64)(folder, path, flags, mode))
}

static void absolute(int folder, const char *path, char *result)
{
    if (path[0] == '/' || folder == AT_FDCWD || !path_of(folder, result))
        snprintf(result, 4096, "%s", path);
    else
        snprintf(result + strlen(result), 4096 - strlen(result), "/%s", path);
}

static void record_names(char operation, int folder, const char *path, int to_folder, const char *to)
{
    char from[4096], target[4096] = "";
    if (recorder < 0)
        return;
    absolute(folder, path, from);
    if (to)
        absolute(to_folder, to, target);
    if (strncmp(from, prefix, strlen(prefix)) == 0)
        record(operation, from, 0, target, strlen(target));
}

int rename(const char *path, const char *to)
{
    int result = REAL(rename)(path, to);
    if (!result)
        record_names('r', AT_FDCWD, path, AT_FDCWD, to);
    return result;
}

int renameat(int folder, const char *path, int to_folder, const char *to)
{
    int result = REAL(renameat)(folder, path, to_folder, to);
    if (!result)
        record_names('r', folder, path, to_folder, to);
    return result;
}

int unlink(const char *path)
{
    int result = REAL(unlink)(path);
    if (!result)
        record_names('u', AT_FDCWD, path, 0, 0);
    return result;
}
