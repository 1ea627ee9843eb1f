// SPDX-License-Identifier: GPL-2.0

/* Makes the tracepoints of trace.h, and lets Rust fire them. Declared in missing/ffi.rs. */

#define CREATE_TRACE_POINTS
#include "trace.h"

void shmdev_trace_create(u64 id, const char *name, u64 size, u32 mode, u32 uid);
void shmdev_trace_create(u64 id, const char *name, u64 size, u32 mode, u32 uid)
{
	trace_shmdev_create(id, name, size, mode, uid);
}

void shmdev_trace_remove(u64 id, const char *name);
void shmdev_trace_remove(u64 id, const char *name)
{
	trace_shmdev_remove(id, name);
}

void shmdev_trace_open(u64 id, u32 token);
void shmdev_trace_open(u64 id, u32 token)
{
	trace_shmdev_open(id, token);
}

void shmdev_trace_attach(u64 id, u64 nattch);
void shmdev_trace_attach(u64 id, u64 nattch)
{
	trace_shmdev_attach(id, nattch);
}

void shmdev_trace_detach(u64 id, u64 nattch);
void shmdev_trace_detach(u64 id, u64 nattch)
{
	trace_shmdev_detach(id, nattch);
}

void shmdev_trace_lock(u64 id, u32 token, u64 start, u64 end, bool write, int ret);
void shmdev_trace_lock(u64 id, u32 token, u64 start, u64 end, bool write, int ret)
{
	trace_shmdev_lock(id, token, start, end, write, ret);
}

void shmdev_trace_unlock(u64 id, u32 token, u64 start, u64 end, bool write);
void shmdev_trace_unlock(u64 id, u32 token, u64 start, u64 end, bool write)
{
	trace_shmdev_unlock(id, token, start, end, write);
}

void shmdev_trace_wait(u64 id, u32 token, u64 offset, int ret);
void shmdev_trace_wait(u64 id, u32 token, u64 offset, int ret)
{
	trace_shmdev_wait(id, token, offset, ret);
}

void shmdev_trace_wake(u64 id, u64 offset, u32 woken, u32 moved);
void shmdev_trace_wake(u64 id, u64 offset, u32 woken, u32 moved)
{
	trace_shmdev_wake(id, offset, woken, moved);
}

void shmdev_trace_owner_died(u64 id, u32 token, u64 offset);
void shmdev_trace_owner_died(u64 id, u32 token, u64 offset)
{
	trace_shmdev_owner_died(id, token, offset);
}
