// SPDX-License-Identifier: GPL-2.0

/*
 * Users, groups and namespaces: what of them only C can say, and a watch for IPC namespaces that
 * go. Declared for Rust in missing/ffi.rs.
 */

#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/fsnotify_backend.h>
#include <linux/ipc_namespace.h>
#include <linux/mount.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

/* A null namespace stands for the current task's. What is not there is -1. */

u32 shmdev_make_kuid(const struct user_namespace *ns, u32 uid);
u32 shmdev_make_kuid(const struct user_namespace *ns, u32 uid)
{
	return __kuid_val(make_kuid((struct user_namespace *)(ns ?: current_user_ns()), uid));
}

u32 shmdev_make_kgid(const struct user_namespace *ns, u32 gid);
u32 shmdev_make_kgid(const struct user_namespace *ns, u32 gid)
{
	return __kgid_val(make_kgid((struct user_namespace *)(ns ?: current_user_ns()), gid));
}

u32 shmdev_from_kuid(u32 kuid);
u32 shmdev_from_kuid(u32 kuid)
{
	return from_kuid_munged(current_user_ns(), KUIDT_INIT(kuid));
}

u32 shmdev_from_kgid(u32 kgid);
u32 shmdev_from_kgid(u32 kgid)
{
	return from_kgid_munged(current_user_ns(), KGIDT_INIT(kgid));
}

u32 shmdev_current_euid(void);
u32 shmdev_current_euid(void)
{
	return __kuid_val(current_euid());
}

u32 shmdev_current_egid(void);
u32 shmdev_current_egid(void)
{
	return __kgid_val(current_egid());
}

bool shmdev_in_group(u32 kgid);
bool shmdev_in_group(u32 kgid)
{
	return in_egroup_p(KGIDT_INIT(kgid));
}

void shmdev_put_user_ns(struct user_namespace *ns);
void shmdev_put_user_ns(struct user_namespace *ns)
{
	put_user_ns(ns);
}

/* A task that is far on its way out has none. */
static struct ipc_namespace *shmdev_current_ipc_ns(void)
{
	return current->nsproxy ? current->nsproxy->ipc_ns : NULL;
}

/* Never 0, and never the same for two namespaces, unlike the inode number. */
u64 shmdev_initial_ipc_id(void);
u64 shmdev_initial_ipc_id(void)
{
	return init_ipc_ns.ns.ns_id;
}

u64 shmdev_current_ipc_id(void);
u64 shmdev_current_ipc_id(void)
{
	struct ipc_namespace *ns = shmdev_current_ipc_ns();

	return ns ? ns->ns.ns_id : 0;
}

/* As /proc/PID/ns/ipc shows it. */
u32 shmdev_initial_ipc_inode(void);
u32 shmdev_initial_ipc_inode(void)
{
	return init_ipc_ns.ns.inum;
}

u32 shmdev_current_ipc_inode(void);
u32 shmdev_current_ipc_inode(void)
{
	struct ipc_namespace *ns = shmdev_current_ipc_ns();

	return ns ? ns->ns.inum : 0;
}

struct user_namespace *shmdev_initial_ipc_owner(void);
struct user_namespace *shmdev_initial_ipc_owner(void)
{
	return get_user_ns(init_ipc_ns.user_ns);
}

struct user_namespace *shmdev_current_ipc_owner(void);
struct user_namespace *shmdev_current_ipc_owner(void)
{
	struct ipc_namespace *ns = shmdev_current_ipc_ns();

	return ns ? get_user_ns(ns->user_ns) : NULL;
}

#ifndef CONFIG_FSNOTIFY
#error "shmdev needs CONFIG_FSNOTIFY, to learn that an IPC namespace has gone"
#endif

/*
 * A watch: a mark on the root of the namespace's mqueue file system. Marks on a file system are
 * destroyed when it is shut down, which happens to this one when the namespace is freed.
 */
struct shmdev_ipc_watch {
	struct fsnotify_mark mark;
	void *target;
	void (*gone)(void *target);
	void (*forget)(void *target);
};

/* How many watches there are whose forget was not called. */
static atomic_t shmdev_ipc_watches = ATOMIC_INIT(0);

static struct shmdev_ipc_watch *shmdev_to_watch(struct fsnotify_mark *mark)
{
	return container_of(mark, struct shmdev_ipc_watch, mark);
}

static void shmdev_ipc_freeing(struct fsnotify_mark *mark, struct fsnotify_group *group)
{
	struct shmdev_ipc_watch *watch = shmdev_to_watch(mark);

	watch->gone(watch->target);
}

static void shmdev_ipc_free(struct fsnotify_mark *mark)
{
	struct shmdev_ipc_watch *watch = shmdev_to_watch(mark);

	if (watch->target)
		watch->forget(watch->target);
	kfree(watch);
	atomic_dec(&shmdev_ipc_watches);
}

/* The marks want no events, so there are none. */
static int shmdev_ipc_event(struct fsnotify_mark *mark, u32 mask, struct inode *inode,
			    struct inode *dir, const struct qstr *name, u32 cookie)
{
	return 0;
}

static const struct fsnotify_ops shmdev_ipc_ops = {
	.handle_inode_event = shmdev_ipc_event,
	.freeing_mark = shmdev_ipc_freeing,
	.free_mark = shmdev_ipc_free,
};

void *shmdev_ipc_group_new(void);
void *shmdev_ipc_group_new(void)
{
	struct fsnotify_group *group = fsnotify_alloc_group(&shmdev_ipc_ops, 0);

	return IS_ERR(group) ? NULL : group;
}

/*
 * Waits until all marks, of all groups, are freed and the functions above have returned. The last to hold a mark
 * may be a namespace on its way out, so there may be nothing to wait for yet.
 */
void shmdev_ipc_flush(void);
void shmdev_ipc_flush(void)
{
	while (atomic_read(&shmdev_ipc_watches)) {
		fsnotify_wait_marks_destroyed();
		msleep(1);
	}
	fsnotify_wait_marks_destroyed();
}

void shmdev_ipc_group_put(void *group);
void shmdev_ipc_group_put(void *group)
{
	fsnotify_put_group(group);
}

/*
 * Returns a watch or an error. From now on the functions are called: gone once, when the namespace
 * goes or the watch is dropped, and later forget.
 */
void *shmdev_ipc_watch_current(void *group, void *target, void (*gone)(void *target),
			       void (*forget)(void *target));
void *shmdev_ipc_watch_current(void *group, void *target, void (*gone)(void *target),
			       void (*forget)(void *target))
{
	struct ipc_namespace *ns = shmdev_current_ipc_ns();
	struct shmdev_ipc_watch *watch;
	int ret;

	if (!ns)
		return ERR_PTR(-ESRCH);
	if (!IS_ENABLED(CONFIG_POSIX_MQUEUE))
		return ERR_PTR(-EOPNOTSUPP);
	watch = kzalloc(sizeof(*watch), GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	if (!watch)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&shmdev_ipc_watches);
	fsnotify_init_mark(&watch->mark, group);
	watch->target = target;
	watch->gone = gone;
	watch->forget = forget;
	ret = fsnotify_add_inode_mark(&watch->mark, d_inode(ns->mq_mnt->mnt_root), 0);
	if (ret) {
		/* The target stays the caller's. */
		watch->target = NULL;
		fsnotify_put_mark(&watch->mark);
		return ERR_PTR(ret);
	}
	return watch;
}

void shmdev_ipc_watch_drop(void *pointer);
void shmdev_ipc_watch_drop(void *pointer)
{
	struct shmdev_ipc_watch *watch = pointer;

	fsnotify_destroy_mark(&watch->mark, watch->mark.group);
	fsnotify_put_mark(&watch->mark);
}
