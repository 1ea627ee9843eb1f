// SPDX-License-Identifier: GPL-2.0

/*
 * What only C can say: macros, inlines, and calls whose binding depends on the kernel's
 * configuration, in the manner of the kernel's own rust/helpers/. Declared for Rust in
 * missing/ffi.rs.
 */

#include <linux/debugfs.h>
#include <linux/fault-inject-usercopy.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/time_namespace.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#ifndef CONFIG_64BIT
#error "shmdev needs a 64-bit kernel: every page it allocates must have a kernel address"
#endif

void shmdev_smp_mb(void);
void shmdev_smp_mb(void)
{
	smp_mb();
}

bool shmdev_has_sleeper(struct wait_queue_head *queue);
bool shmdev_has_sleeper(struct wait_queue_head *queue)
{
	return wq_has_sleeper(queue);
}

u64 shmdev_random(void);
u64 shmdev_random(void)
{
	return get_random_u64();
}

/* As futexes order those who wait: 0 to MAX_RT_PRIO are real-time, the first to be woken 0. */
u32 shmdev_current_priority(void);
u32 shmdev_current_priority(void)
{
	return clamp(READ_ONCE(current->normal_prio) + 1, 0, MAX_RT_PRIO + 1);
}

/* User memory */

/* What copy_from_user() does first: it may sleep, and failures can be injected. */
static __always_inline bool may_touch_user(void)
{
	might_fault();
	return !should_fail_usercopy();
}

/* How many is known here, so that there is one short check and no loop. */
static __always_inline bool get_words(u64 *to, const u64 __user *from, unsigned int count)
{
	if (!may_touch_user() || !user_read_access_begin(from, count * sizeof(*from)))
		return false;
	unsafe_get_user(to[0], from, fault);
	unsafe_get_user(to[1], from + 1, fault);
	if (count > 2)
		unsafe_get_user(to[2], from + 2, fault);
	if (count > 3)
		unsafe_get_user(to[3], from + 3, fault);
	if (count > 4)
		unsafe_get_user(to[4], from + 4, fault);
	if (count > 5)
		unsafe_get_user(to[5], from + 5, fault);
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

#define SHMDEV_GET_WORDS(count)							\
	bool shmdev_get_##count##_words(u64 *to, unsigned long from);		\
	bool shmdev_get_##count##_words(u64 *to, unsigned long from)		\
	{									\
		return get_words(to, (const u64 __user *)from, count);		\
	}

SHMDEV_GET_WORDS(2)
SHMDEV_GET_WORDS(3)
SHMDEV_GET_WORDS(5)
SHMDEV_GET_WORDS(6)

bool shmdev_put_word(unsigned long to, u64 word);
bool shmdev_put_word(unsigned long to, u64 word)
{
	u64 __user *user = (u64 __user *)to;

	if (!may_touch_user() || !user_write_access_begin(user, sizeof(*user)))
		return false;
	unsafe_put_user(word, user, fault);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

/* Pages: allocated here, so that memory allocation profiling names this module. */

struct page *shmdev_alloc_pages(gfp_t gfp, unsigned int order);
struct page *shmdev_alloc_pages(gfp_t gfp, unsigned int order)
{
	return alloc_pages(gfp, order);
}

gfp_t shmdev_gfp_segment(bool large);
gfp_t shmdev_gfp_segment(bool large)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;

	/* Give up early on large blocks; never call the OOM killer for the small ones. */
	return gfp | (large ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL);
}

/*
 * Pages that were allocated together have one reference for all; from then on each has its own. It
 * stays so: a second call does nothing.
 */
void shmdev_split_pages(struct page *page, unsigned int order, bool *split);
void shmdev_split_pages(struct page *page, unsigned int order, bool *split)
{
	static DEFINE_MUTEX(lock);

	mutex_lock(&lock);
	if (!*split) {
		split_page(page, order);
		*split = true;
	}
	mutex_unlock(&lock);
}

void shmdev_get_pages(struct page *page, unsigned long count);
void shmdev_get_pages(struct page *page, unsigned long count)
{
	while (count--)
		get_page(page++);
}

void shmdev_put_pages(struct page *page, unsigned long count);
void shmdev_put_pages(struct page *page, unsigned long count)
{
	while (count--)
		put_page(page++);
}

unsigned long shmdev_totalram_pages(void);
unsigned long shmdev_totalram_pages(void)
{
	return totalram_pages();
}

unsigned long shmdev_page_to_pfn(const struct page *page);
unsigned long shmdev_page_to_pfn(const struct page *page)
{
	return page_to_pfn(page);
}

void *shmdev_page_address(const struct page *page);
void *shmdev_page_address(const struct page *page)
{
	return page_address(page);
}

void shmdev_zero(void *address, unsigned long len);
void shmdev_zero(void *address, unsigned long len)
{
	memset(address, 0, len);
}

void shmdev_copy(void *to, const void *from, unsigned long len);
void shmdev_copy(void *to, const void *from, unsigned long len)
{
	memcpy(to, from, len);
}

/* Mappings */

/*
 * VM_SHARED is not set for a file that is not open for writing, and the binding of VM_MAYSHARE has
 * another flag's value in Linux 7.2.
 */
bool shmdev_vma_is_shared(const struct vm_area_struct *vma);
bool shmdev_vma_is_shared(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_MAYSHARE;
}

bool shmdev_vma_is_cow(const struct vm_area_struct *vma);
bool shmdev_vma_is_cow(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

void shmdev_vma_clear_exec(struct vm_area_struct *vma);
void shmdev_vma_clear_exec(struct vm_area_struct *vma)
{
	vm_flags_clear(vma, VM_EXEC | VM_MAYEXEC);
	vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
}

/* Pages with a reference for each entry, which copy-on-write and pinning understand. */
void shmdev_vma_set_mixedmap(struct vm_area_struct *vma);
void shmdev_vma_set_mixedmap(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTEXPAND);
}

/* As remap_pfn_range() does, for a mapping that it may find nothing to do in. */
void shmdev_vma_set_pfnmap(struct vm_area_struct *vma);
void shmdev_vma_set_pfnmap(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
}

vm_fault_t shmdev_insert_pfn_pmd(struct vm_fault *vmf, unsigned long frame, bool write);
vm_fault_t shmdev_insert_pfn_pmd(struct vm_fault *vmf, unsigned long frame, bool write)
{
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	pmd_t pmd = pmdp_get_lockless(vmf->pmd);

	/* A page table that is there, stays. */
	if (!has_transparent_hugepage() || (!pmd_none(pmd) && !pmd_trans_huge(pmd)))
		return VM_FAULT_FALLBACK;
	return vmf_insert_pfn_pmd(vmf, frame, write);
#else
	return VM_FAULT_FALLBACK;
#endif
}

/*
 * A large mapping begins where its offset does relative to the entries of a PMD: it takes no more page
 * tables than it needs, and large entries fit it.
 */
unsigned long shmdev_get_unmapped_area(struct file *file, unsigned long address,
				       unsigned long len, unsigned long page_offset,
				       unsigned long flags);
unsigned long shmdev_get_unmapped_area(struct file *file, unsigned long address,
				       unsigned long len, unsigned long page_offset,
				       unsigned long flags)
{
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	return thp_get_unmapped_area(file, address, len, page_offset, flags);
#else
	return mm_get_unmapped_area(file, address, len, page_offset, flags);
#endif
}

bool shmdev_read_implies_exec(void);
bool shmdev_read_implies_exec(void)
{
	return current->personality & READ_IMPLIES_EXEC;
}

/* Files */

bool shmdev_iocb_append(const struct kiocb *iocb);
bool shmdev_iocb_append(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_APPEND;
}

/* Tasks and processes */

void shmdev_set_current_state(unsigned int state);
void shmdev_set_current_state(unsigned int state)
{
	set_current_state(state);
}

/* Sleeps until woken, or until the time if there is one: then it returns 0. */
int shmdev_schedule_until(ktime_t *expires);
int shmdev_schedule_until(ktime_t *expires)
{
	return schedule_hrtimeout_range(expires, READ_ONCE(current->timer_slack_ns),
					HRTIMER_MODE_ABS);
}

ktime_t shmdev_monotonic_to_host(ktime_t time);
ktime_t shmdev_monotonic_to_host(ktime_t time)
{
	return timens_ktime_to_host(CLOCK_MONOTONIC, time);
}

/* Whether the last thread of the current process is exiting. */
bool shmdev_current_process_exiting(void);
bool shmdev_current_process_exiting(void)
{
	return (current->flags & PF_EXITING) && !atomic_read(&current->signal->live);
}

bool shmdev_fatal_signal_pending(void);
bool shmdev_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

struct pid *shmdev_current_process(void);
struct pid *shmdev_current_process(void)
{
	return task_tgid(current);
}

struct pid *shmdev_get_pid(struct pid *pid);
struct pid *shmdev_get_pid(struct pid *pid)
{
	return get_pid(pid);
}

/* Whether every thread of the process has exited. */
bool shmdev_process_exited(struct pid *pid);
bool shmdev_process_exited(struct pid *pid)
{
	struct task_struct *leader;
	bool exited;

	rcu_read_lock();
	leader = pid_task(pid, PIDTYPE_TGID);
	exited = !leader ||
		 (READ_ONCE(leader->exit_state) && thread_group_empty(leader));
	rcu_read_unlock();
	return exited;
}

/* As the current task's pid namespace has it; 0 if it has it not. */
int shmdev_pid_number(struct pid *pid);
int shmdev_pid_number(struct pid *pid)
{
	return pid_vnr(pid);
}

struct workqueue_struct *shmdev_alloc_workqueue(void);
struct workqueue_struct *shmdev_alloc_workqueue(void)
{
	return alloc_workqueue("shmdev", WQ_UNBOUND, 0);
}

/* Files in debugfs that show a text; see missing/debugfs.rs. */

struct shmdev_text {
	void (*show)(const struct shmdev_text *text, struct seq_file *lines);
};

static int shmdev_text_show(struct seq_file *lines, void *unused)
{
	const struct shmdev_text *text = lines->private;

	text->show(text, lines);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(shmdev_text);

bool shmdev_seq_is_full(const struct seq_file *lines);
bool shmdev_seq_is_full(const struct seq_file *lines)
{
	return lines->count == lines->size;
}

void shmdev_debugfs_file(const char *name, struct dentry *directory, void *text);
void shmdev_debugfs_file(const char *name, struct dentry *directory, void *text)
{
	debugfs_create_file(name, 0400, directory, text, &shmdev_text_fops);
}

/* Tokens: small numbers, handed out in a circle so that a freed one rests before it comes again. */

static DEFINE_XARRAY_FLAGS(shmdev_tokens, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
static u32 shmdev_next_token;

int shmdev_token_alloc(u32 *token, u32 max);
int shmdev_token_alloc(u32 *token, u32 max)
{
	int ret = xa_alloc_cyclic(&shmdev_tokens, token, xa_mk_value(0), XA_LIMIT(1, max),
				  &shmdev_next_token,
				  GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);

	return ret < 0 ? ret : 0;
}

void shmdev_token_free(u32 token);
void shmdev_token_free(u32 token)
{
	xa_erase(&shmdev_tokens, token);
}
