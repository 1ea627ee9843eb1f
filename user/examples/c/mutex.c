/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/*
 * A mutex between processes, on a word of a segment: no system call when nobody else wants it, and when its owner dies
 * the next one gets it and is told. See the Makefile for how it is built, in 64 and in 32 bits.
 *
 *     mutex NAME            counts to a thousand, together with all who do so at the same time
 *     mutex NAME hold       takes the mutex, begins to count, and sleeps: kill it
 */

#ifdef FREESTANDING
#include "freestanding.h"
#else
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <stdatomic.h>
#include <stddef.h>

#include "shmdev.h"

#define SIZE 4096
#define TIMES 1000

#define TOKEN ((uint32_t)SHMDEV_WORD_TOKEN)
#define OWNER_DIED ((uint32_t)SHMDEV_WORD_OWNER_DIED)
#define WAITERS ((uint32_t)SHMDEV_WORD_WAITERS)

/* What lies in the segment. It begins as zeros: the mutex is free. */
struct counter {
	/* The token of its owner's handle, or 0, and two flags. */
	_Atomic uint32_t lock;
	/* These two are the same whenever the mutex is free. */
	uint32_t begun;
	uint32_t ended;
	/* Nobody ever wakes who waits on this. */
	_Atomic uint32_t never;
};

/* A handle of one's own: each process needs one, also after fork. */
struct owner {
	struct counter *counter;
	int fd;
	uint32_t token;
};

static int failed(const char *what)
{
	perror(what);
	return -1;
}

/* Sleeps if the word is `expected`, until somebody wakes it. */
static int wait_on(const struct owner *self, size_t offset, uint32_t expected)
{
	struct shmdev_wait wait = {
		.offset = offset,
		.deadline_ns = SHMDEV_DEADLINE_NEVER,
		.expected = expected,
	};

	if (!ioctl(self->fd, SHMDEV_IOC_WAIT, &wait))
		return 0;
	/* It is something else by now, or a signal came: look again. */
	return errno == EAGAIN || errno == EINTR ? 0 : failed("wait");
}

/* 0, or 1 when its owner before died: what it guards may be half changed. */
static int lock(const struct owner *self)
{
	_Atomic uint32_t *word = &self->counter->lock;
	uint32_t value = 0;
	uint32_t waited = 0;

	for (;;) {
		if (!(value & TOKEN)) {
			/* Who has waited does not know whether others do: he may wake one for nothing. */
			uint32_t mine = self->token | (value & WAITERS) | waited;

			if (atomic_compare_exchange_weak_explicit(word, &value, mine, memory_order_acquire,
								  memory_order_relaxed))
				return (value & OWNER_DIED) != 0;
		} else if ((value & WAITERS) ||
			   atomic_compare_exchange_weak_explicit(word, &value, value | WAITERS,
								 memory_order_relaxed,
								 memory_order_relaxed)) {
			waited = WAITERS;
			if (wait_on(self, offsetof(struct counter, lock), value | WAITERS))
				return -1;
			value = atomic_load_explicit(word, memory_order_relaxed);
		}
	}
}

static int unlock(const struct owner *self)
{
	struct shmdev_wake wake = { .offset = offsetof(struct counter, lock), .count = 1 };
	uint32_t value = atomic_exchange_explicit(&self->counter->lock, 0, memory_order_release);

	/* Who is killed here has woken nobody: the kernel does that for him. */
	if (!(value & WAITERS))
		return 0;
	return ioctl(self->fd, SHMDEV_IOC_WAKE, &wake) < 0 ? failed("wake") : 0;
}

/* Makes the segment if it is not there, and has the kernel tell when this process dies. */
static int attach(struct owner *self, const char *name)
{
	struct shmdev_create create = { .size = SIZE, .mode = 0600 };
	struct shmdev_robust robust = { .offset = offsetof(struct counter, lock) };
	struct shmdev_info info;
	size_t len = strlen(name);

	if (len >= SHMDEV_NAME_SIZE) {
		puts("the name is too long");
		return -1;
	}
	memcpy(create.name, name, len);
	self->fd = open(SHMDEV_PATH, O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		return failed("open " SHMDEV_PATH);
	if (ioctl(self->fd, SHMDEV_IOC_CREATE, &create))
		return failed("create");
	if (ioctl(self->fd, SHMDEV_IOC_INFO, &info))
		return failed("info");
	self->token = info.token;
	self->counter = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	if (self->counter == MAP_FAILED)
		return failed("mmap");
	/* Once, before it is first locked. */
	return ioctl(self->fd, SHMDEV_IOC_ROBUST_ADD, &robust) ? failed("robust") : 0;
}

static int count(const struct owner *self)
{
	struct counter *counter = self->counter;
	int times;

	for (times = 0; times < TIMES; times++) {
		int died = lock(self);

		if (died < 0)
			return -1;
		if (died) {
			puts("the owner died; repaired");
			counter->ended = counter->begun;
		}
		counter->begun++;
		counter->ended++;
		if (unlock(self))
			return -1;
	}
	return 0;
}

static int hold(const struct owner *self)
{
	if (lock(self) < 0)
		return -1;
	self->counter->begun++;
	puts("held");
#ifndef FREESTANDING
	fflush(stdout);
#endif
	while (!wait_on(self, offsetof(struct counter, never), 0))
		;
	return -1;
}

int main(int argc, char **argv)
{
	struct owner self;

	if (argc < 2 || argc > 3) {
		puts("mutex NAME [hold]");
		return 2;
	}
	if (attach(&self, argv[1]))
		return 1;
	return (argc > 2 ? hold(&self) : count(&self)) ? 1 : 0;
}
