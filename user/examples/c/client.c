/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/*
 * A client in C: creates or opens a segment, maps it, writes while it holds a range, and reads back through a handle
 * that can only read. See the Makefile for how it is built, in 64 and in 32 bits.
 *
 *     client [NAME [TEXT]]
 */

#ifdef FREESTANDING
#include "freestanding.h"
#else
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "shmdev.h"

#define SIZE 4096

static int failed(const char *what)
{
	perror(what);
	return -1;
}

/* Names are followed by zeros alone; what does not fit is no name. */
static int set_name(char field[SHMDEV_NAME_SIZE], const char *name)
{
	size_t len = strlen(name);

	memset(field, 0, SHMDEV_NAME_SIZE);
	if (len >= SHMDEV_NAME_SIZE)
		return -1;
	memcpy(field, name, len);
	return 0;
}

/* A handle of the segment, which is made if it is not there. */
static int create(const char *name, int *created)
{
	/* What is not named is zero, as it must be. */
	struct shmdev_create create = { .size = SIZE, .mode = 0600 };
	int fd;

	if (set_name(create.name, name)) {
		puts("the name is too long");
		return -1;
	}
	fd = open(SHMDEV_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return failed("open " SHMDEV_PATH);
	if (ioctl(fd, SHMDEV_IOC_CREATE, &create)) {
		close(fd);
		return failed("create");
	}
	*created = (create.status & SHMDEV_STATUS_CREATED) != 0;
	return fd;
}

/* Writes `text` for others to see whole, or not at all. */
static int write_text(int fd, const char *text)
{
	struct shmdev_sync_range range = {
		.len = SIZE,
		.deadline_ns = SHMDEV_DEADLINE_NEVER,
		.op = SHMDEV_SYNC_BEGIN,
		.access = SHMDEV_ACCESS_WRITE,
	};
	size_t len = strlen(text);
	char *memory;
	int result = 0;

	if (len >= SIZE)
		len = SIZE - 1;
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return failed("mmap");

	if (ioctl(fd, SHMDEV_IOC_SYNC, &range)) {
		munmap(memory, SIZE);
		return failed("begin");
	}
	if (range.status & SHMDEV_STATUS_OWNER_DIED)
		puts("somebody died here while writing; all of it is written anew");
	memcpy(memory, text, len);
	memory[len] = 0;
	range.op = SHMDEV_SYNC_END;
	range.deadline_ns = 0;
	if (ioctl(fd, SHMDEV_IOC_SYNC, &range))
		result = failed("end");

	munmap(memory, SIZE);
	return result;
}

/* Shows what the segment holds, and checks that it is `text`. */
static int read_back(const char *name, const char *text)
{
	struct shmdev_open request = { .target = { .by = SHMDEV_BY_NAME } };
	char memory[SIZE];
	int result = -1;
	int fd = open(SHMDEV_PATH, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return failed("open " SHMDEV_PATH);
	if (set_name(request.target.name, name) || ioctl(fd, SHMDEV_IOC_OPEN, &request)) {
		failed("open the segment");
	} else if (read(fd, memory, sizeof(memory)) != (long)sizeof(memory)) {
		failed("read");
	} else if (memcmp(memory, text, strlen(text) + 1)) {
		puts("somebody else wrote meanwhile");
	} else {
		puts(memory);
		result = 0;
	}
	close(fd);
	return result;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "c-example";
	const char *text = argc > 2 ? argv[2] : "hello from C";
	struct shmdev_remove own = { .target = { .by = SHMDEV_BY_HANDLE } };
	int created = 0;
	int result;
	int fd = create(name, &created);

	if (fd < 0)
		return 1;
	puts(created ? "created" : "opened");
	result = write_text(fd, text);
	if (!result)
		result = read_back(name, text);
	/* A segment with a name stays until somebody removes it. */
	if (created && ioctl(fd, SHMDEV_IOC_REMOVE, &own))
		result = failed("remove");
	close(fd);
	return result ? 1 : 0;
}
