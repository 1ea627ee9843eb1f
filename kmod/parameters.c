// SPDX-License-Identifier: GPL-2.0

/*
 * Module parameters that module! cannot have: words, and limits that can be changed in
 * /sys/module/shmdev/parameters while the module is loaded. Declared for Rust in missing/ffi.rs.
 */

#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/sysfs.h>

/* In the order of MapMode in missing/pages.rs. */
static const char *const map_modes[] = { "pfn", "fault", "huge" };
static int default_map;

static int default_map_set(const char *word, const struct kernel_param *param)
{
	int index = sysfs_match_string(map_modes, word);

	if (index < 0)
		return index;
	default_map = index;
	return 0;
}

static int default_map_get(char *page, const struct kernel_param *param)
{
	return sysfs_emit(page, "%s\n", map_modes[default_map]);
}

static const struct kernel_param_ops default_map_ops = {
	.set = default_map_set,
	.get = default_map_get,
};
module_param_cb(default_map, &default_map_ops, NULL, 0444);
MODULE_PARM_DESC(default_map,
		 "How segments are mapped that are created without saying: pfn (default), fault or huge");

int shmdev_default_map(void);
int shmdev_default_map(void)
{
	return default_map;
}

static unsigned int max_segments = 4096;
module_param(max_segments, uint, 0644);
MODULE_PARM_DESC(max_segments, "Segments in all (default 4096)");

static unsigned long long max_segment_bytes = 1ULL << 40;
module_param(max_segment_bytes, ullong, 0644);
MODULE_PARM_DESC(max_segment_bytes, "Bytes of one segment (default 2^40)");

/* Not given: half of the memory, and a quarter. */
#define SHMDEV_NOT_GIVEN U64_MAX

static unsigned long long max_total_bytes = SHMDEV_NOT_GIVEN;
module_param(max_total_bytes, ullong, 0644);
MODULE_PARM_DESC(max_total_bytes,
		 "Bytes of all segments (default: half of the memory)");

static unsigned long long max_bytes_per_uid = SHMDEV_NOT_GIVEN;
module_param(max_bytes_per_uid, ullong, 0644);
MODULE_PARM_DESC(max_bytes_per_uid,
		 "Bytes of all segments that one user created (default: a quarter of the memory)");

void shmdev_limits_settle(void);
void shmdev_limits_settle(void)
{
	unsigned long long pages = totalram_pages();

	if (max_total_bytes == SHMDEV_NOT_GIVEN)
		max_total_bytes = pages / 2 << PAGE_SHIFT;
	if (max_bytes_per_uid == SHMDEV_NOT_GIVEN)
		max_bytes_per_uid = pages / 4 << PAGE_SHIFT;
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
