/* What a power cut would leave: after each fsync or fdatasync of a file below SYNC_SHIM_DIR, its
   content is copied to SYNC_SHIM_SHADOW. What was written and never synced is not there.

   The copies are made one at a time over all processes (a lock file), each from the file's present
   content, and appear by a rename: a copy never replaces a newer one, and a killed process leaves
   none half made. A file that was deleted is gone from the copies with the next fsync of
   any file, as on ext4 and xfs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void forget_deleted(const char *directory, const char *shadow)
{
    char path[PATH_MAX];
    struct dirent *each;
    DIR *copies = opendir(shadow);
    if (!copies) abort();
    while ((each = readdir(copies))) {
        if (each->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", directory, each->d_name);
        if (!access(path, F_OK)) continue;
        snprintf(path, sizeof path, "%s/%s", shadow, each->d_name);
        if (unlink(path)) abort();
    }
    closedir(copies);
}

static void keep(int fd)
{
    char link[64], path[PATH_MAX], lock_path[PATH_MAX], unfinished[PATH_MAX], kept[PATH_MAX];
    const char *directory = getenv("SYNC_SHIM_DIR"), *shadow = getenv("SYNC_SHIM_SHADOW");
    struct stat about;
    if (!directory || !shadow || fstat(fd, &about) || !S_ISREG(about.st_mode)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = 0;
    size_t prefix = strlen(directory);
    if (strncmp(path, directory, prefix) || strstr(path, " (deleted)")) return;
    if (strrchr(path, '/') != path + prefix) return;

    snprintf(lock_path, sizeof lock_path, "%s/.lock", shadow);
    int lock = open(lock_path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (lock < 0 || flock(lock, LOCK_EX)) abort();
    /* Read through the given descriptor: closing one of our own on the same file would drop the
       locks that SQLite holds on it. */
    snprintf(unfinished, sizeof unfinished, "%s/.unfinished", shadow);
    snprintf(kept, sizeof kept, "%s/%s", shadow, strrchr(path, '/') + 1);
    char buffer[1 << 16];
    off_t at = 0;
    ssize_t got;
    int file = open(unfinished, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0) abort();
    while ((got = pread(fd, buffer, sizeof buffer, at)) > 0) {
        if (write(file, buffer, (size_t)got) != got) abort();
        at += got;
    }
    close(file);
    if (got < 0 || rename(unfinished, kept)) abort();
    forget_deleted(directory, shadow);
    close(lock);
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    int answer = real(fd);
    if (!answer) keep(fd);
    return answer;
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    int answer = real(fd);
    if (!answer) keep(fd);
    return answer;
}
