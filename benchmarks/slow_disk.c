/* Counts commits of SQLite and makes the disk slow: preloaded into the process of an authority.
 *
 * With synchronous=FULL SQLite syncs its journal, the file that ends in "-wal", once for each commit.
 * The file SLOW_DISK holds two numbers of 64 bits, which both sides have in memory: how many syncs of
 * a journal there were, and by how many microseconds each sync, of whatever file, is delayed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct shared {
	uint64_t commits;
	uint64_t delay;
};

static struct shared *shared;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("SLOW_DISK");
	int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (file < 0)
		return;
	void *memory = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory != MAP_FAILED)
		shared = memory;
	close(file);
}

static int is_journal(int file)
{
	char link[64], path[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	ssize_t length = readlink(link, path, sizeof path);
	return length > 4 && memcmp(path + length - 4, "-wal", 4) == 0;
}

static int sync_late(const char *name, int file)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	if (shared) {
		uint64_t delay = __atomic_load_n(&shared->delay, __ATOMIC_RELAXED);
		struct timespec rest = {delay / 1000000, delay % 1000000 * 1000};
		if (is_journal(file))
			__atomic_add_fetch(&shared->commits, 1, __ATOMIC_RELAXED);
		if (delay)
			nanosleep(&rest, NULL);
	}
	return real(file);
}

int fsync(int file)
{
	return sync_late("fsync", file);
}

int fdatasync(int file)
{
	return sync_late("fdatasync", file);
}
