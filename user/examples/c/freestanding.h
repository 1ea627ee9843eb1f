/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/*
 * What the examples need of a C library, for building it in 32 bits (x86) where there is none: the system calls, by
 * `int $0x80`, and a few functions. Not a part of the examples.
 */

#ifndef FREESTANDING_H
#define FREESTANDING_H

#include <stddef.h>

#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#ifndef __i386__
#error "this is for -m32 on x86"
#endif

#define MAP_FAILED ((void *)-1)

static int errno;

static long check(long result)
{
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

static long call(long nr, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return check(result);
}

static int open(const char *path, int flags)
{
	return (int)call(__NR_open, (long)path, flags, 0);
}

__attribute__((unused)) static int close(int fd)
{
	return (int)call(__NR_close, fd, 0, 0);
}

static int ioctl(int fd, unsigned long command, void *argument)
{
	return (int)call(__NR_ioctl, fd, (long)command, (long)argument);
}

__attribute__((unused)) static long read(int fd, void *buf, size_t len)
{
	return call(__NR_read, fd, (long)buf, (long)len);
}

/* The older of two calls: it takes its six arguments in memory. */
static void *mmap(void *address, size_t len, int prot, int flags, int fd, long offset)
{
	long arguments[] = { (long)address, (long)len, prot, flags, fd, offset };

	return (void *)call(__NR_mmap, (long)arguments, 0, 0);
}

__attribute__((unused)) static int munmap(void *address, size_t len)
{
	return (int)call(__NR_munmap, (long)address, (long)len, 0);
}

/* The compiler makes calls of these four by itself. */
void *memset(void *to, int byte, size_t len)
{
	char *at = (char *)to;

	while (len--)
		*at++ = (char)byte;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	char *at = (char *)to;
	const char *source = (const char *)from;

	while (len--)
		*at++ = *source++;
	return to;
}

int memcmp(const void *one, const void *other, size_t len)
{
	const unsigned char *a = (const unsigned char *)one, *b = (const unsigned char *)other;

	for (; len--; a++, b++)
		if (*a != *b)
			return *a - *b;
	return 0;
}

size_t strlen(const char *text)
{
	size_t len = 0;

	while (text[len])
		len++;
	return len;
}

static void put(int fd, const char *text)
{
	call(__NR_write, fd, (long)text, (long)strlen(text));
}

static int puts(const char *text)
{
	put(1, text);
	put(1, "\n");
	return 0;
}

static void perror(const char *what)
{
	char digits[12];
	char *at = digits + sizeof(digits) - 1;
	int left = errno;

	*at = 0;
	do
		*--at = (char)('0' + left % 10);
	while ((left /= 10));
	put(2, what);
	put(2, ": errno ");
	put(2, at);
	put(2, "\n");
}

int main(int argc, char **argv);

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov (%esp), %eax\n"
	"	lea 4(%esp), %edx\n"
	"	and $-16, %esp\n"
	"	sub $8, %esp\n"
	"	push %edx\n"
	"	push %eax\n"
	"	call main\n"
	"	mov %eax, %ebx\n"
	"	mov $1, %eax\n"
	"	int $0x80\n");

#endif /* FREESTANDING_H */
