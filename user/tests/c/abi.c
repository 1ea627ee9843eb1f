/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/*
 * The ABI against known numbers, in C and in C++, in 64 and in 32 bits: those of tests/abi.rs. It is compiled and
 * not run, by tests/header.rs.
 */

#include <stddef.h>

#include "shmdev.h"

#ifdef __cplusplus
#define CHECK(condition) static_assert(condition, #condition)
#else
#define CHECK(condition) _Static_assert(condition, #condition)
#endif

/* A structure's size, and where its last field begins, so that there is no padding before it. */
#define LAYOUT(structure, size, last, offset)     \
	CHECK(sizeof(struct structure) == (size)); \
	CHECK(offsetof(struct structure, last) == (offset))

LAYOUT(shmdev_info, 128, reserved, 120);
LAYOUT(shmdev_target, 80, reserved, 76);
LAYOUT(shmdev_stat, 240, reserved, 192);
LAYOUT(shmdev_create, 96, reserved, 92);
LAYOUT(shmdev_open, 96, reserved, 88);
LAYOUT(shmdev_set, 96, mode, 92);
LAYOUT(shmdev_resize, 96, reserved, 88);
LAYOUT(shmdev_remove, 80, target, 0);
LAYOUT(shmdev_list, 3856, segments, 16);
LAYOUT(shmdev_restrict, 24, flags, 20);
LAYOUT(shmdev_sync_range, 48, status, 44);
LAYOUT(shmdev_wait, 24, flags, 20);
LAYOUT(shmdev_wake, 16, flags, 12);
LAYOUT(shmdev_wait_word, 16, flags, 12);
LAYOUT(shmdev_waitv, 2064, words, 16);
LAYOUT(shmdev_requeue, 32, flags, 28);
LAYOUT(shmdev_wake_wait, 40, wait, 16);
LAYOUT(shmdev_robust, 16, reserved, 12);
LAYOUT(shmdev_eventfd, 16, flags, 12);

CHECK(SHMDEV_IOC_INFO == 0x8080bb00);
CHECK(SHMDEV_IOC_STAT == 0xc0f0bb01);
CHECK(SHMDEV_IOC_SYNC == 0xc030bb02);
CHECK(SHMDEV_IOC_WAIT == 0x4018bb03);
CHECK(SHMDEV_IOC_WAKE == 0x4010bb04);
CHECK(SHMDEV_IOC_WAITV == 0x4810bb05);
CHECK(SHMDEV_IOC_REQUEUE == 0x4020bb06);
CHECK(SHMDEV_IOC_WAKE_WAIT == 0x4028bb07);
CHECK(SHMDEV_IOC_ROBUST_ADD == 0x4010bb08);
CHECK(SHMDEV_IOC_ROBUST_DEL == 0x4010bb09);
CHECK(SHMDEV_IOC_EVENTFD_ADD == 0x4010bb0a);
CHECK(SHMDEV_IOC_EVENTFD_DEL == 0x4010bb0b);
CHECK(SHMDEV_IOC_CREATE == 0xc060bb10);
CHECK(SHMDEV_IOC_OPEN == 0xc060bb11);
CHECK(SHMDEV_IOC_SET == 0x4060bb12);
CHECK(SHMDEV_IOC_RESIZE == 0x4060bb13);
CHECK(SHMDEV_IOC_REMOVE == 0x4050bb14);
CHECK(SHMDEV_IOC_LIST == 0xcf10bb15);
CHECK(SHMDEV_IOC_RESTRICT == 0x4018bb16);

CHECK(SHMDEV_ABI_VERSION == 1);
CHECK(SHMDEV_FEATURE_MAP == 256);
CHECK(SHMDEV_MAP_MASK == 12);
CHECK(SHMDEV_MAP_PFN == 4);
CHECK(SHMDEV_MAP_FAULT == 8);
CHECK(SHMDEV_MAP_HUGE == 12);
CHECK(SHMDEV_NAME_SIZE == 64);
CHECK(SHMDEV_TOKEN_MAX == 1073741823);
CHECK(SHMDEV_WORD_TOKEN == 0x3fffffff);
CHECK(SHMDEV_WORD_OWNER_DIED == 0x40000000);
CHECK(SHMDEV_WORD_WAITERS == 0x80000000);
CHECK(SHMDEV_DEADLINE_NEVER == 0xffffffffffffffff);
