/* SPDX-License-Identifier: GPL-2.0 */

/* The module's tracepoints. */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM shmdev

#if !defined(_SHMDEV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _SHMDEV_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(shmdev_create,
	TP_PROTO(u64 id, const char *name, u64 size, u32 mode, u32 uid),
	TP_ARGS(id, name, size, mode, uid),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(name, name)
		__field(u64, size)
		__field(u32, mode)
		__field(u32, uid)
	),
	TP_fast_assign(
		__entry->id = id;
		__assign_str(name);
		__entry->size = size;
		__entry->mode = mode;
		__entry->uid = uid;
	),
	TP_printk("id=%llu name=%s size=%llu mode=%04o uid=%u", __entry->id, __get_str(name),
		  __entry->size, __entry->mode, __entry->uid)
);

TRACE_EVENT(shmdev_remove,
	TP_PROTO(u64 id, const char *name),
	TP_ARGS(id, name),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(name, name)
	),
	TP_fast_assign(
		__entry->id = id;
		__assign_str(name);
	),
	TP_printk("id=%llu name=%s", __entry->id, __get_str(name))
);

TRACE_EVENT(shmdev_open,
	TP_PROTO(u64 id, u32 token),
	TP_ARGS(id, token),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, token)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->token = token;
	),
	TP_printk("id=%llu token=%u", __entry->id, __entry->token)
);

DECLARE_EVENT_CLASS(shmdev_mapping,
	TP_PROTO(u64 id, u64 nattch),
	TP_ARGS(id, nattch),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, nattch)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->nattch = nattch;
	),
	TP_printk("id=%llu nattch=%llu", __entry->id, __entry->nattch)
);

DEFINE_EVENT(shmdev_mapping, shmdev_attach,
	TP_PROTO(u64 id, u64 nattch),
	TP_ARGS(id, nattch)
);

DEFINE_EVENT(shmdev_mapping, shmdev_detach,
	TP_PROTO(u64 id, u64 nattch),
	TP_ARGS(id, nattch)
);

TRACE_EVENT(shmdev_lock,
	TP_PROTO(u64 id, u32 token, u64 start, u64 end, bool write, int ret),
	TP_ARGS(id, token, start, end, write, ret),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, start)
		__field(u64, end)
		__field(u32, token)
		__field(int, ret)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->start = start;
		__entry->end = end;
		__entry->token = token;
		__entry->ret = ret;
		__entry->write = write;
	),
	TP_printk("id=%llu token=%u start=%llu end=%llu access=%s ret=%d", __entry->id,
		  __entry->token, __entry->start, __entry->end, __entry->write ? "write" : "read",
		  __entry->ret)
);

TRACE_EVENT(shmdev_unlock,
	TP_PROTO(u64 id, u32 token, u64 start, u64 end, bool write),
	TP_ARGS(id, token, start, end, write),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, start)
		__field(u64, end)
		__field(u32, token)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->start = start;
		__entry->end = end;
		__entry->token = token;
		__entry->write = write;
	),
	TP_printk("id=%llu token=%u start=%llu end=%llu access=%s", __entry->id, __entry->token,
		  __entry->start, __entry->end, __entry->write ? "write" : "read")
);

TRACE_EVENT(shmdev_wait,
	TP_PROTO(u64 id, u32 token, u64 offset, int ret),
	TP_ARGS(id, token, offset, ret),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u32, token)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->offset = offset;
		__entry->token = token;
		__entry->ret = ret;
	),
	TP_printk("id=%llu token=%u offset=%llu ret=%d", __entry->id, __entry->token,
		  __entry->offset, __entry->ret)
);

TRACE_EVENT(shmdev_wake,
	TP_PROTO(u64 id, u64 offset, u32 woken, u32 moved),
	TP_ARGS(id, offset, woken, moved),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u32, woken)
		__field(u32, moved)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->offset = offset;
		__entry->woken = woken;
		__entry->moved = moved;
	),
	TP_printk("id=%llu offset=%llu woken=%u moved=%u", __entry->id, __entry->offset,
		  __entry->woken, __entry->moved)
);

TRACE_EVENT(shmdev_owner_died,
	TP_PROTO(u64 id, u32 token, u64 offset),
	TP_ARGS(id, token, offset),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u32, token)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->offset = offset;
		__entry->token = token;
	),
	TP_printk("id=%llu token=%u offset=%llu", __entry->id, __entry->token, __entry->offset)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
