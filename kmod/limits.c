// SPDX-License-Identifier: GPL-2.0

/*
 * Module parameters that are limits, and can be changed in /sys/module/shmdev/parameters while the
 * module is loaded. Declared for Rust in missing/ffi.rs.
 */

#include <linux/mm.h>
#include <linux/moduleparam.h>

static unsigned int max_segments = 4096;
module_param(max_segments, uint, 0644);
MODULE_PARM_DESC(max_segments, "Segments in all (default 4096)");

static unsigned long long max_segment_bytes = 1ULL << 40;
module_param(max_segment_bytes, ullong, 0644);
MODULE_PARM_DESC(max_segment_bytes, "Bytes of one segment (default 2^40)");

static unsigned long long max_total_bytes;
module_param(max_total_bytes, ullong, 0644);
MODULE_PARM_DESC(max_total_bytes,
		 "Bytes of all segments (default, and for 0 at load: half of the memory)");

static unsigned long long max_bytes_per_uid;
module_param(max_bytes_per_uid, ullong, 0644);
MODULE_PARM_DESC(max_bytes_per_uid,
		 "Bytes of all segments that one user created (default, and for 0 at load: half of the memory)");

void shmdev_limits_settle(void);
void shmdev_limits_settle(void)
{
	unsigned long long half = (unsigned long long)(totalram_pages() / 2) << PAGE_SHIFT;

	if (!max_total_bytes)
		max_total_bytes = half;
	if (!max_bytes_per_uid)
		max_bytes_per_uid = half;
}

u64 shmdev_max_segments(void);
u64 shmdev_max_segments(void)
{
	return READ_ONCE(max_segments);
}

u64 shmdev_max_segment_bytes(void);
u64 shmdev_max_segment_bytes(void)
{
	return READ_ONCE(max_segment_bytes);
}

u64 shmdev_max_total_bytes(void);
u64 shmdev_max_total_bytes(void)
{
	return READ_ONCE(max_total_bytes);
}

u64 shmdev_max_bytes_per_uid(void);
u64 shmdev_max_bytes_per_uid(void)
{
	return READ_ONCE(max_bytes_per_uid);
}
