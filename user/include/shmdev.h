/* SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0 */

/*
 * The ABI of /dev/shmdev. Made from kmod/uapi.rs; to change it, change that, and run
 *
 *     SHMDEV_BLESS=1 cargo test -p shmdev --test header
 *
 * What each call does, and every errno it can return, is written in docs/abi.md.
 */

#ifndef SHMDEV_H
#define SHMDEV_H

#include <stdint.h>
#include <linux/ioctl.h>

/**
 * The device node.
 */
#define SHMDEV_PATH "/dev/shmdev"

/**
 * Version of the ABI. It changes when a program built against an older version could misbehave.
 */
#define SHMDEV_ABI_VERSION 1

/**
 * Type byte of every ioctl; free in the kernel's `ioctl-number.rst`.
 */
#define SHMDEV_IOC_TYPE 0xbb

/**
 * Ioctl number of `SHMDEV_IOC_INFO`.
 */
#define SHMDEV_INFO_NR 0

/**
 * Ioctl number of `SHMDEV_IOC_STAT`.
 */
#define SHMDEV_STAT_NR 1

/**
 * Ioctl number of `SHMDEV_IOC_SYNC`.
 */
#define SHMDEV_SYNC_NR 2

/**
 * Ioctl number of `SHMDEV_IOC_WAIT`.
 */
#define SHMDEV_WAIT_NR 3

/**
 * Ioctl number of `SHMDEV_IOC_WAKE`.
 */
#define SHMDEV_WAKE_NR 4

/**
 * Ioctl number of `SHMDEV_IOC_WAITV`.
 */
#define SHMDEV_WAITV_NR 5

/**
 * Ioctl number of `SHMDEV_IOC_REQUEUE`.
 */
#define SHMDEV_REQUEUE_NR 6

/**
 * Ioctl number of `SHMDEV_IOC_WAKE_WAIT`.
 */
#define SHMDEV_WAKE_WAIT_NR 7

/**
 * Ioctl number of `SHMDEV_IOC_ROBUST_ADD`.
 */
#define SHMDEV_ROBUST_ADD_NR 8

/**
 * Ioctl number of `SHMDEV_IOC_ROBUST_DEL`.
 */
#define SHMDEV_ROBUST_DEL_NR 9

/**
 * Ioctl number of `SHMDEV_IOC_EVENTFD_ADD`.
 */
#define SHMDEV_EVENTFD_ADD_NR 10

/**
 * Ioctl number of `SHMDEV_IOC_EVENTFD_DEL`.
 */
#define SHMDEV_EVENTFD_DEL_NR 11

/**
 * Ioctl number of `SHMDEV_IOC_CREATE`.
 */
#define SHMDEV_CREATE_NR 16

/**
 * Ioctl number of `SHMDEV_IOC_OPEN`.
 */
#define SHMDEV_OPEN_NR 17

/**
 * Ioctl number of `SHMDEV_IOC_SET`.
 */
#define SHMDEV_SET_NR 18

/**
 * Ioctl number of `SHMDEV_IOC_RESIZE`.
 */
#define SHMDEV_RESIZE_NR 19

/**
 * Ioctl number of `SHMDEV_IOC_REMOVE`.
 */
#define SHMDEV_REMOVE_NR 20

/**
 * Ioctl number of `SHMDEV_IOC_LIST`.
 */
#define SHMDEV_LIST_NR 21

/**
 * Ioctl number of `SHMDEV_IOC_RESTRICT`.
 */
#define SHMDEV_RESTRICT_NR 22

/**
 * `shmdev_info.features`: `SHMDEV_IOC_SYNC` is there.
 */
#define SHMDEV_FEATURE_SYNC (1 << 0)

/**
 * `shmdev_info.features`: `poll` reports new generations.
 */
#define SHMDEV_FEATURE_POLL (1 << 1)

/**
 * `shmdev_info.features`: segments can be created, named, found and removed.
 */
#define SHMDEV_FEATURE_SEGMENTS (1 << 2)

/**
 * `shmdev_info.features`: `SHMDEV_IOC_RESTRICT` is there.
 */
#define SHMDEV_FEATURE_RESTRICT (1 << 3)

/**
 * `shmdev_info.features`: `SHMDEV_IOC_WAIT` and `SHMDEV_IOC_WAKE` are there.
 */
#define SHMDEV_FEATURE_WAIT (1 << 4)

/**
 * `shmdev_info.features`: `SHMDEV_IOC_WAITV`, `SHMDEV_IOC_REQUEUE` and `SHMDEV_IOC_WAKE_WAIT` are there.
 */
#define SHMDEV_FEATURE_WAITV (1 << 5)

/**
 * `shmdev_info.features`: `SHMDEV_IOC_ROBUST_ADD` and `SHMDEV_IOC_ROBUST_DEL` are there.
 */
#define SHMDEV_FEATURE_ROBUST (1 << 6)

/**
 * `shmdev_info.features`: `SHMDEV_IOC_EVENTFD_ADD` and `SHMDEV_IOC_EVENTFD_DEL` are there.
 */
#define SHMDEV_FEATURE_EVENTFD (1 << 7)

/**
 * `shmdev_info.features`: how a segment is mapped can be chosen, see `SHMDEV_MAP_MASK`.
 */
#define SHMDEV_FEATURE_MAP (1 << 8)

/**
 * Bytes of a name's field. A name is 1 to 63 bytes of `A-Z a-z 0-9 . _ -`, but neither `.` nor
 * `..`; the rest of the field is zero.
 */
#define SHMDEV_NAME_SIZE 64

/**
 * `shmdev_target.by`: the segment that this handle is attached to.
 */
#define SHMDEV_BY_HANDLE 0

/**
 * `shmdev_target.by`: the segment whose number is `shmdev_target.id`.
 */
#define SHMDEV_BY_ID 1

/**
 * `shmdev_target.by`: the segment whose name is `shmdev_target.name`.
 */
#define SHMDEV_BY_NAME 2

/**
 * `shmdev_target.by`, for `SHMDEV_IOC_OPEN` alone: the segment that another handle is attached to, of which
 * `shmdev_target.id` is a descriptor.
 */
#define SHMDEV_BY_DESCRIPTOR 3

/**
 * `shmdev_create.flags`: fail with `EEXIST` if there is a segment of that name already.
 */
#define SHMDEV_CREATE_EXCLUSIVE (1 << 0)

/**
 * `shmdev_create.flags`: remove the segment when the last handle attached to it goes.
 */
#define SHMDEV_CREATE_AUTO_REMOVE (1 << 1)

/**
 * `shmdev_create.flags` and `shmdev_stat.flags`: the bits that say how the segment is mapped. In
 * `shmdev_create.flags`, none of them is `shmdev_info.default_map`.
 */
#define SHMDEV_MAP_MASK (3 << 2)

/**
 * `SHMDEV_MAP_MASK`: all page table entries are made by `mmap`. Pages cannot be pinned or copied on write.
 */
#define SHMDEV_MAP_PFN (1 << 2)

/**
 * `SHMDEV_MAP_MASK`: entries are made when pages are touched, some at a time. Pages can be pinned (`O_DIRECT`,
 * fixed buffers of io_uring) and copied on write (`MAP_PRIVATE`).
 */
#define SHMDEV_MAP_FAULT (2 << 2)

/**
 * `SHMDEV_MAP_MASK`: entries of 2 MiB are made when they are touched, the others by `mmap`. Else as
 * `SHMDEV_MAP_PFN`.
 */
#define SHMDEV_MAP_HUGE (3 << 2)

/**
 * `shmdev_create.status`: the segment was made by this call; else it existed.
 */
#define SHMDEV_STATUS_CREATED (1 << 0)

/**
 * `shmdev_set.fields`: change the owner to `shmdev_set.uid`.
 */
#define SHMDEV_SET_UID (1 << 0)

/**
 * `shmdev_set.fields`: change the group to `shmdev_set.gid`.
 */
#define SHMDEV_SET_GID (1 << 1)

/**
 * `shmdev_set.fields`: change the permission bits to `shmdev_set.mode`.
 */
#define SHMDEV_SET_MODE (1 << 2)

/**
 * `shmdev_stat.flags`: the segment goes with the last handle attached to it.
 */
#define SHMDEV_SEGMENT_AUTO_REMOVE (1 << 0)

/**
 * `shmdev_stat.flags`: the segment was removed, and lives only until the last handle goes.
 */
#define SHMDEV_SEGMENT_REMOVED (1 << 1)

/**
 * How many segments one `SHMDEV_IOC_LIST` returns at most.
 */
#define SHMDEV_LIST_MAX 16

/**
 * Largest token, see `shmdev_info.token`: tokens have 30 bits.
 */
#define SHMDEV_TOKEN_MAX ((1 << 30) - 1)

/**
 * `shmdev_sync_range.op`: wait until the range is free for the access asked for, then hold it.
 */
#define SHMDEV_SYNC_BEGIN 1

/**
 * `shmdev_sync_range.op`: give back a range that this handle holds.
 */
#define SHMDEV_SYNC_END 2

/**
 * `shmdev_sync_range.access`: shared with other readers.
 */
#define SHMDEV_ACCESS_READ 1

/**
 * `shmdev_sync_range.access`: exclusive.
 */
#define SHMDEV_ACCESS_WRITE 2

/**
 * `shmdev_sync_range.deadline_ns`: do not wait, fail with `EAGAIN`.
 */
#define SHMDEV_DEADLINE_NOW 0

/**
 * `shmdev_sync_range.deadline_ns`: wait for as long as it takes.
 */
#define SHMDEV_DEADLINE_NEVER UINT64_MAX

/**
 * Bytes of a word that can be waited on; its offset is a multiple of that.
 */
#define SHMDEV_WORD_SIZE 4

/**
 * How many words one `SHMDEV_IOC_WAITV` can wait on.
 */
#define SHMDEV_WAITV_MAX 128

/**
 * Bits of a lock word: the token of its owner's handle, 0 if it is free.
 */
#define SHMDEV_WORD_TOKEN SHMDEV_TOKEN_MAX

/**
 * Bit of a lock word: an owner died, and what the lock protects may be half changed. Set by the
 * kernel, cleared by whoever has put that right.
 */
#define SHMDEV_WORD_OWNER_DIED 1073741824

/**
 * Bit of a lock word: somebody may wait on it, so whoever unlocks must wake.
 */
#define SHMDEV_WORD_WAITERS 2147483648

/**
 * `shmdev_robust.flags`: only wake one who waits on the word, and leave the word alone.
 */
#define SHMDEV_ROBUST_WAKE_ONLY (1 << 0)

/**
 * `shmdev_eventfd.flags`: signal each new generation, not what is woken on a word.
 */
#define SHMDEV_EVENTFD_GENERATION (1 << 0)

/**
 * How many eventfds a handle can have attached.
 */
#define SHMDEV_EVENTFDS_MAX 64

/**
 * `shmdev_sync_range.status`: somebody died while writing bytes of this range, and no write of them was
 * completed since.
 */
#define SHMDEV_STATUS_OWNER_DIED (1 << 0)

/**
 * What `SHMDEV_IOC_INFO` returns.
 */
struct shmdev_info {
  /**
   * `SHMDEV_ABI_VERSION` of the module.
   */
  uint32_t abi_version;
  /**
   * Page size in bytes: mappings and offsets of mappings are multiples of it.
   */
  uint32_t page_size;
  /**
   * What the module can do: a set of `SHMDEV_FEATURE_*` bits.
   */
  uint64_t features;
  /**
   * Size of the default segment in bytes.
   */
  uint64_t default_size;
  /**
   * This handle's identity: 1 to `SHMDEV_TOKEN_MAX`, different from that of every other open handle.
   */
  uint32_t token;
  /**
   * How many ranges a handle may hold or wait for at a time; one more fails with `ENOLCK`.
   */
  uint32_t max_ranges;
  /**
   * How many segments there may be.
   */
  uint64_t max_segments;
  /**
   * How many bytes a segment may have, whole pages.
   */
  uint64_t max_segment_bytes;
  /**
   * How many bytes all segments together may have, whole pages.
   */
  uint64_t max_total_bytes;
  /**
   * How many bytes the segments that a user created may have together, whole pages.
   */
  uint64_t max_bytes_per_uid;
  /**
   * How many segments there are that count against `max_segments`.
   */
  uint64_t segments;
  /**
   * How many bytes they have, whole pages.
   */
  uint64_t total_bytes;
  /**
   * How many bytes those have that the calling user created, whole pages.
   */
  uint64_t uid_bytes;
  /**
   * First byte that this handle can reach.
   */
  uint64_t window_start;
  /**
   * The end of what it can reach; 2^64 - 1 is the segment's end, wherever that is.
   */
  uint64_t window_end;
  /**
   * What it can do: `SHMDEV_ACCESS_READ`, `SHMDEV_ACCESS_WRITE` or both.
   */
  uint32_t access;
  /**
   * 1 if it was restricted by `SHMDEV_IOC_RESTRICT`, else 0.
   */
  uint32_t restricted;
  /**
   * How many robust words a handle may have at a time; one more fails with `ENOSPC`.
   */
  uint32_t max_robust;
  /**
   * How a segment is mapped that is created without saying: one of the `SHMDEV_MAP_*`.
   */
  uint32_t default_map;
  /**
   * Zero.
   */
  uint32_t reserved[2];
};

/**
 * Names a segment, in calls that can be about another one than this handle's.
 */
struct shmdev_target {
  /**
   * The segment's name, for `SHMDEV_BY_NAME`; else zero.
   */
  char name[SHMDEV_NAME_SIZE];
  /**
   * The segment's number, for `SHMDEV_BY_ID`; a descriptor, for `SHMDEV_BY_DESCRIPTOR`; else zero.
   */
  uint64_t id;
  /**
   * `SHMDEV_BY_HANDLE`, `SHMDEV_BY_ID`, `SHMDEV_BY_NAME` or `SHMDEV_BY_DESCRIPTOR`.
   */
  uint32_t by;
  /**
   * Must be zero.
   */
  uint32_t reserved;
};

/**
 * What `SHMDEV_IOC_STAT` takes and returns. The figures are read one after the other while others may
 * change them.
 */
struct shmdev_stat {
  /**
   * Taken: which segment. Returned: its name, all zero if it has none, and its number; the
   * default segment's is 0.
   */
  struct shmdev_target target;
  /**
   * Size in bytes, as it was asked for: the end for `read`, `write` and `lseek`.
   */
  uint64_t size;
  /**
   * Size in bytes rounded up to whole pages: what can be mapped.
   */
  uint64_t mapped_size;
  /**
   * How many mappings there are now, in all processes.
   */
  uint64_t nattch;
  /**
   * How many handles are attached now.
   */
  uint64_t handles;
  /**
   * How many writes were completed: ends of WRITE ranges and calls of `write` that stored
   * something.
   */
  uint64_t generation;
  /**
   * When it was created: nanoseconds of `CLOCK_REALTIME`.
   */
  uint64_t created_ns;
  /**
   * When it was mapped last, or a handle attached to it, 0 for never; so, too.
   */
  uint64_t attached_ns;
  /**
   * When its owner, group, mode or size was changed last, until then `created_ns`; so, too.
   */
  uint64_t changed_ns;
  /**
   * How many ranges are held now.
   */
  uint32_t holders;
  /**
   * How many callers wait for a range now.
   */
  uint32_t waiters;
  /**
   * In how many physically contiguous pieces the memory lies.
   */
  uint32_t pieces;
  /**
   * A set of `SHMDEV_SEGMENT_*` bits, and one of the `SHMDEV_MAP_*`.
   */
  uint32_t flags;
  /**
   * Owner, as seen from the caller's user namespace.
   */
  uint32_t uid;
  /**
   * Group; so, too.
   */
  uint32_t gid;
  /**
   * Who created it; so, too.
   */
  uint32_t creator_uid;
  /**
   * The group of who created it; so, too.
   */
  uint32_t creator_gid;
  /**
   * Which process created it, as seen from the caller's pid namespace; 0 if it is not there.
   */
  uint32_t creator_pid;
  /**
   * Which process last attached a handle or made a mapping; so, too.
   */
  uint32_t last_pid;
  /**
   * Permission bits, 0 to 0777.
   */
  uint32_t mode;
  /**
   * How many callers wait on words now.
   */
  uint32_t sleepers;
  /**
   * Zero.
   */
  uint32_t reserved[12];
};

/**
 * What `SHMDEV_IOC_CREATE` takes and returns.
 */
struct shmdev_create {
  /**
   * The segment's name, or all zero for none.
   */
  char name[SHMDEV_NAME_SIZE];
  /**
   * Size in bytes. Returned: the segment's, which may be larger if it existed.
   */
  uint64_t size;
  /**
   * Returned: the segment's number.
   */
  uint64_t id;
  /**
   * Permission bits, 0 to 0777.
   */
  uint32_t mode;
  /**
   * A set of `SHMDEV_CREATE_*` bits, and one of the `SHMDEV_MAP_*` or none.
   */
  uint32_t flags;
  /**
   * Returned: a set of `SHMDEV_STATUS_*` bits.
   */
  uint32_t status;
  /**
   * Must be zero.
   */
  uint32_t reserved;
};

/**
 * What `SHMDEV_IOC_OPEN` takes and returns.
 */
struct shmdev_open {
  /**
   * Which segment: `SHMDEV_BY_ID`, `SHMDEV_BY_NAME` or `SHMDEV_BY_DESCRIPTOR`. Returned: its name and number.
   */
  struct shmdev_target target;
  /**
   * Returned: its size in bytes.
   */
  uint64_t size;
  /**
   * Must be zero.
   */
  uint64_t reserved;
};

/**
 * What `SHMDEV_IOC_SET` takes.
 */
struct shmdev_set {
  /**
   * Which segment.
   */
  struct shmdev_target target;
  /**
   * What to change: a set of `SHMDEV_SET_*` bits, at least one. The fields of the others are ignored.
   */
  uint32_t fields;
  /**
   * The new owner, as seen from the caller's user namespace.
   */
  uint32_t uid;
  /**
   * The new group; so, too.
   */
  uint32_t gid;
  /**
   * The new permission bits, 0 to 0777.
   */
  uint32_t mode;
};

/**
 * What `SHMDEV_IOC_RESIZE` takes.
 */
struct shmdev_resize {
  /**
   * Which segment.
   */
  struct shmdev_target target;
  /**
   * The new size in bytes.
   */
  uint64_t size;
  /**
   * Must be zero.
   */
  uint64_t reserved;
};

/**
 * What `SHMDEV_IOC_REMOVE` takes.
 */
struct shmdev_remove {
  /**
   * Which segment.
   */
  struct shmdev_target target;
};

/**
 * What `SHMDEV_IOC_LIST` takes and returns.
 */
struct shmdev_list {
  /**
   * List segments whose number is at least this: 0 to begin with. Returned: where to go on.
   */
  uint64_t cursor;
  /**
   * Returned: how many of `segments` are filled in; 0 after the last one.
   */
  uint32_t count;
  /**
   * Must be zero.
   */
  uint32_t flags;
  /**
   * Returned: the segments, in the order of their numbers.
   */
  struct shmdev_stat segments[SHMDEV_LIST_MAX];
};

/**
 * What `SHMDEV_IOC_RESTRICT` takes.
 */
struct shmdev_restrict {
  /**
   * First byte that the handle may still reach.
   */
  uint64_t offset;
  /**
   * How many bytes from there on; 2^64 - 1 for all of them, however large the segment becomes.
   */
  uint64_t len;
  /**
   * What it may still do: `SHMDEV_ACCESS_READ`, `SHMDEV_ACCESS_WRITE` or both.
   */
  uint32_t access;
  /**
   * Must be zero.
   */
  uint32_t flags;
};

/**
 * What `SHMDEV_IOC_SYNC` takes and returns.
 */
struct shmdev_sync_range {
  /**
   * First byte of the range.
   */
  uint64_t offset;
  /**
   * Length of the range in bytes, at least 1.
   */
  uint64_t len;
  /**
   * Until when to wait: nanoseconds of `CLOCK_MONOTONIC`, `SHMDEV_DEADLINE_NOW` or
   * `SHMDEV_DEADLINE_NEVER`. Zero for
   * `SHMDEV_SYNC_END`.
   */
  uint64_t deadline_ns;
  /**
   * Returned: the segment's generation, for an end of a WRITE range the one that it made.
   */
  uint64_t generation;
  /**
   * `SHMDEV_SYNC_BEGIN` or `SHMDEV_SYNC_END`.
   */
  uint32_t op;
  /**
   * `SHMDEV_ACCESS_READ` or `SHMDEV_ACCESS_WRITE`.
   */
  uint32_t access;
  /**
   * Must be zero.
   */
  uint32_t flags;
  /**
   * Returned: a set of `SHMDEV_STATUS_*` bits.
   */
  uint32_t status;
};

/**
 * What `SHMDEV_IOC_WAIT` takes.
 */
struct shmdev_wait {
  /**
   * First byte of the word, a multiple of 4.
   */
  uint64_t offset;
  /**
   * Until when to wait: nanoseconds of `CLOCK_MONOTONIC`, or `SHMDEV_DEADLINE_NEVER`.
   */
  uint64_t deadline_ns;
  /**
   * Do not wait if the word is not this, in the byte order of the machine.
   */
  uint32_t expected;
  /**
   * Must be zero.
   */
  uint32_t flags;
};

/**
 * What `SHMDEV_IOC_WAKE` takes.
 */
struct shmdev_wake {
  /**
   * First byte of the word, a multiple of 4.
   */
  uint64_t offset;
  /**
   * How many to wake at most, 0 to 2^31 - 1.
   */
  uint32_t count;
  /**
   * Must be zero.
   */
  uint32_t flags;
};

/**
 * A word to wait on, of `shmdev_waitv`.
 */
struct shmdev_wait_word {
  /**
   * First byte of the word, a multiple of 4.
   */
  uint64_t offset;
  /**
   * Do not wait if the word is not this, in the byte order of the machine.
   */
  uint32_t expected;
  /**
   * Must be zero.
   */
  uint32_t flags;
};

/**
 * What `SHMDEV_IOC_WAITV` takes.
 */
struct shmdev_waitv {
  /**
   * Until when to wait: nanoseconds of `CLOCK_MONOTONIC`, or `SHMDEV_DEADLINE_NEVER`.
   */
  uint64_t deadline_ns;
  /**
   * How many of `words` there are, 1 to `SHMDEV_WAITV_MAX`.
   */
  uint32_t count;
  /**
   * Must be zero.
   */
  uint32_t flags;
  /**
   * What to wait on.
   */
  struct shmdev_wait_word words[SHMDEV_WAITV_MAX];
};

/**
 * What `SHMDEV_IOC_REQUEUE` takes.
 */
struct shmdev_requeue {
  /**
   * First byte of the word that is waited on, a multiple of 4.
   */
  uint64_t from;
  /**
   * First byte of another word, a multiple of 4.
   */
  uint64_t to;
  /**
   * Do nothing if the word at `from` is not this.
   */
  uint32_t expected;
  /**
   * How many to wake at most, 0 to 2^31 - 1.
   */
  uint32_t wake;
  /**
   * How many of the others to let wait on the other word, 0 to 2^31 - 1.
   */
  uint32_t requeue;
  /**
   * Must be zero.
   */
  uint32_t flags;
};

/**
 * What `SHMDEV_IOC_WAKE_WAIT` takes.
 */
struct shmdev_wake_wait {
  /**
   * What to wake.
   */
  struct shmdev_wake wake;
  /**
   * What to wait for.
   */
  struct shmdev_wait wait;
};

/**
 * What `SHMDEV_IOC_ROBUST_ADD` and `SHMDEV_IOC_ROBUST_DEL` take.
 */
struct shmdev_robust {
  /**
   * First byte of the word, a multiple of 4.
   */
  uint64_t offset;
  /**
   * 0 or `SHMDEV_ROBUST_WAKE_ONLY`.
   */
  uint32_t flags;
  /**
   * Must be zero.
   */
  uint32_t reserved;
};

/**
 * What `SHMDEV_IOC_EVENTFD_ADD` and `SHMDEV_IOC_EVENTFD_DEL` take.
 */
struct shmdev_eventfd {
  /**
   * First byte of the word whose wake-ups to signal, a multiple of 4; 0 with
   * `SHMDEV_EVENTFD_GENERATION`.
   */
  uint64_t offset;
  /**
   * What to signal.
   */
  int32_t fd;
  /**
   * 0 or `SHMDEV_EVENTFD_GENERATION`.
   */
  uint32_t flags;
};

/**
 * Facts about the device and this handle.
 */
#define SHMDEV_IOC_INFO _IOR(SHMDEV_IOC_TYPE, SHMDEV_INFO_NR, struct shmdev_info)

/**
 * The state of a segment.
 */
#define SHMDEV_IOC_STAT _IOWR(SHMDEV_IOC_TYPE, SHMDEV_STAT_NR, struct shmdev_stat)

/**
 * Begin or end an access to a byte range.
 */
#define SHMDEV_IOC_SYNC _IOWR(SHMDEV_IOC_TYPE, SHMDEV_SYNC_NR, struct shmdev_sync_range)

/**
 * Sleep until woken, if a word is what is expected.
 */
#define SHMDEV_IOC_WAIT _IOW(SHMDEV_IOC_TYPE, SHMDEV_WAIT_NR, struct shmdev_wait)

/**
 * Wake those who wait on a word. Returns how many.
 */
#define SHMDEV_IOC_WAKE _IOW(SHMDEV_IOC_TYPE, SHMDEV_WAKE_NR, struct shmdev_wake)

/**
 * As `SHMDEV_IOC_WAIT`, on several words. Returns the index of the one that was woken. Only the first `shmdev_waitv.count` elements of `shmdev_waitv.words` are read.
 */
#define SHMDEV_IOC_WAITV _IOW(SHMDEV_IOC_TYPE, SHMDEV_WAITV_NR, struct shmdev_waitv)

/**
 * Wake some of those who wait on a word, and let others wait on another one. Returns how many both are.
 */
#define SHMDEV_IOC_REQUEUE _IOW(SHMDEV_IOC_TYPE, SHMDEV_REQUEUE_NR, struct shmdev_requeue)

/**
 * Wake those who wait on a word, and wait on another one.
 */
#define SHMDEV_IOC_WAKE_WAIT _IOW(SHMDEV_IOC_TYPE, SHMDEV_WAKE_WAIT_NR, struct shmdev_wake_wait)

/**
 * Have the kernel tend a word when this process dies.
 */
#define SHMDEV_IOC_ROBUST_ADD _IOW(SHMDEV_IOC_TYPE, SHMDEV_ROBUST_ADD_NR, struct shmdev_robust)

/**
 * Take that back.
 */
#define SHMDEV_IOC_ROBUST_DEL _IOW(SHMDEV_IOC_TYPE, SHMDEV_ROBUST_DEL_NR, struct shmdev_robust)

/**
 * Have an eventfd signalled.
 */
#define SHMDEV_IOC_EVENTFD_ADD _IOW(SHMDEV_IOC_TYPE, SHMDEV_EVENTFD_ADD_NR, struct shmdev_eventfd)

/**
 * Take that back.
 */
#define SHMDEV_IOC_EVENTFD_DEL _IOW(SHMDEV_IOC_TYPE, SHMDEV_EVENTFD_DEL_NR, struct shmdev_eventfd)

/**
 * Make a segment and attach this handle to it.
 */
#define SHMDEV_IOC_CREATE _IOWR(SHMDEV_IOC_TYPE, SHMDEV_CREATE_NR, struct shmdev_create)

/**
 * Attach this handle to a segment that exists.
 */
#define SHMDEV_IOC_OPEN _IOWR(SHMDEV_IOC_TYPE, SHMDEV_OPEN_NR, struct shmdev_open)

/**
 * Change owner, group or mode of a segment.
 */
#define SHMDEV_IOC_SET _IOW(SHMDEV_IOC_TYPE, SHMDEV_SET_NR, struct shmdev_set)

/**
 * Change the size of a segment.
 */
#define SHMDEV_IOC_RESIZE _IOW(SHMDEV_IOC_TYPE, SHMDEV_RESIZE_NR, struct shmdev_resize)

/**
 * Take a segment's name away, and its memory when nobody uses it any more.
 */
#define SHMDEV_IOC_REMOVE _IOW(SHMDEV_IOC_TYPE, SHMDEV_REMOVE_NR, struct shmdev_remove)

/**
 * The segments, some at a time.
 */
#define SHMDEV_IOC_LIST _IOWR(SHMDEV_IOC_TYPE, SHMDEV_LIST_NR, struct shmdev_list)

/**
 * Give up, for good, a part of what this handle may do.
 */
#define SHMDEV_IOC_RESTRICT _IOW(SHMDEV_IOC_TYPE, SHMDEV_RESTRICT_NR, struct shmdev_restrict)

#endif /* SHMDEV_H */
