// SPDX-License-Identifier: MIT OR Apache-2.0

//! First come, first served among requests that conflict; nobody waits for those that do not.

use std::sync::atomic::Ordering;

use super::refused;
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Gate, Handle, Process, Region, SIZE, in_ms, now_ns,
};

tests![
    a_reader_waits_behind_a_waiting_writer,
    a_reader_that_does_not_wait_is_refused_behind_a_waiting_writer,
    a_stream_of_readers_does_not_starve_a_writer,
    writers_are_served_in_their_order,
    readers_behind_a_writer_enter_together,
    a_request_passes_waiters_it_does_not_conflict_with,
    a_waiter_blocks_only_what_overlaps_it,
    #[slow]
    a_request_that_gives_up_lets_those_behind_it_go,
    a_killed_waiter_lets_those_behind_it_go,
    the_end_of_one_range_serves_all_that_became_free,
    a_wide_request_is_not_overtaken_by_narrow_ones,
];

/// Processes that queue one after the other and note the order in which they were served.
struct Queue<'a> {
    holder: &'a Handle,
    order: Region,
    processes: Vec<Process>,
}

impl<'a> Queue<'a> {
    fn behind(holder: &'a Handle) -> Queue<'a> {
        Queue {
            holder,
            order: Region::shared(4096),
            processes: Vec::new(),
        }
    }

    /// Lets one more process ask, and waits until it is in the queue. It ends its range when `go` opens.
    fn join(&mut self, access: u32, offset: u64, len: u64, go: &Gate) {
        let waiters = self.holder.stat().unwrap().waiters;
        let (order, number) = (&self.order, self.processes.len());
        let process = Process::fork(move || {
            let handle = Handle::rw();
            handle.begin(access, offset, len, DEADLINE_NEVER).unwrap();
            // Noted while the range is held: conflicting ones cannot note at the same time.
            let place = order.u32(0).fetch_add(1, Ordering::SeqCst) as usize + 1;
            order.u32(4 * place).store(number as u32, Ordering::SeqCst);
            go.pass();
            handle.end(access, offset, len).unwrap();
        });
        self.processes.push(process);
        until("the process queues", || {
            self.holder.stat().unwrap().waiters == waiters + 1
        });
    }

    fn served(&self) -> Vec<u32> {
        let count = self.order.u32(0).load(Ordering::SeqCst) as usize;
        (1..=count)
            .map(|place| self.order.u32(4 * place).load(Ordering::SeqCst))
            .collect()
    }

    fn wait_until_served(&self, count: usize) {
        until("requests are served", || self.served().len() >= count);
    }

    fn finish(self) {
        self.processes.into_iter().for_each(Process::join);
    }
}

fn a_reader_waits_behind_a_waiting_writer() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_READ, 0, 8, 0).unwrap();
    let mut queue = Queue::behind(&holder);
    queue.join(ACCESS_WRITE, 0, 8, &go);
    queue.join(ACCESS_READ, 0, 8, &go);
    assert_eq!(
        holder.stat().unwrap().waiters,
        2,
        "the reader could share, but waits for its turn"
    );
    holder.end(ACCESS_READ, 0, 8).unwrap();
    queue.wait_until_served(1);
    assert_eq!((queue.served(), holder.stat().unwrap().waiters), (vec![0], 1));
    go.open();
    queue.wait_until_served(2);
    go.open();
    assert_eq!(queue.served(), [0, 1]);
    queue.finish();
}

fn a_reader_that_does_not_wait_is_refused_behind_a_waiting_writer() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_READ, 0, 8, 0).unwrap();
    let reader = Handle::rw();
    reader.begin(ACCESS_READ, 0, 8, 0).expect("nobody waits yet");
    reader.end(ACCESS_READ, 0, 8).unwrap();
    let mut queue = Queue::behind(&holder);
    queue.join(ACCESS_WRITE, 0, 8, &go);
    refused(reader.begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    holder.end(ACCESS_READ, 0, 8).unwrap();
    go.open();
    queue.finish();
    reader.begin(ACCESS_READ, 0, 8, 0).unwrap();
}

fn a_stream_of_readers_does_not_starve_a_writer() {
    let (stop, running) = (Region::shared(4096), Gate::new());
    // Overlapping readers: at every moment one of them holds the range.
    let readers: Vec<_> = (0..3)
        .map(|_| {
            Process::fork(|| {
                let handle = Handle::ro();
                let mut rounds = 0;
                while stop.u32(0).load(Ordering::SeqCst) == 0 {
                    handle.begin(ACCESS_READ, 0, 8, DEADLINE_NEVER).unwrap();
                    std::thread::yield_now();
                    handle.end(ACCESS_READ, 0, 8).unwrap();
                    rounds += 1;
                    if rounds == 10 {
                        running.open();
                    }
                }
            })
        })
        .collect();
    readers.iter().for_each(|_| running.pass());
    let writer = Handle::rw();
    for _ in 0..50 {
        writer.begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER).unwrap();
        writer.end(ACCESS_WRITE, 0, 8).unwrap();
    }
    stop.u32(0).store(1, Ordering::SeqCst);
    readers.into_iter().for_each(Process::join);
}

fn writers_are_served_in_their_order() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    let mut queue = Queue::behind(&holder);
    for offset in [0, 7, 3, 0, 5, 1, 2, 0] {
        queue.join(ACCESS_WRITE, offset, 8 - offset, &go);
    }
    // They all share byte 7, so the order is one.
    holder.end(ACCESS_WRITE, 0, 8).unwrap();
    for served in 1..=8 {
        queue.wait_until_served(served);
        assert_eq!(holder.stat().unwrap().holders, 1);
        go.open();
    }
    assert_eq!(queue.served(), [0, 1, 2, 3, 4, 5, 6, 7]);
    queue.finish();
}

fn readers_behind_a_writer_enter_together() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    let mut queue = Queue::behind(&holder);
    (0..5).for_each(|_| queue.join(ACCESS_READ, 0, 8, &go));
    holder.end(ACCESS_WRITE, 0, 8).unwrap();
    queue.wait_until_served(5);
    let stat = holder.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (5, 0), "all five at once");
    (0..5).for_each(|_| go.open());
    queue.finish();
}

fn a_request_passes_waiters_it_does_not_conflict_with() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    let mut queue = Queue::behind(&holder);
    queue.join(ACCESS_WRITE, 0, 8, &go);
    let other = Handle::rw();
    other
        .begin(ACCESS_WRITE, 8, 8, 0)
        .expect("its neighbour is nobody's");
    holder.end(ACCESS_WRITE, 0, 8).unwrap();
    go.open();
    queue.finish();
    other.end(ACCESS_WRITE, 8, 8).unwrap();
}

fn a_waiter_blocks_only_what_overlaps_it() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_READ, 0, 8, 0).unwrap();
    let mut queue = Queue::behind(&holder);
    queue.join(ACCESS_WRITE, 4, 8, &go);
    let reader = Handle::rw();
    // Held for reading and not asked for by the writer: free for another reader.
    reader.begin(ACCESS_READ, 0, 4, 0).unwrap();
    reader.end(ACCESS_READ, 0, 4).unwrap();
    // Not held by anybody, but asked for before.
    refused(reader.begin(ACCESS_READ, 8, 4, 0), Errno::EAGAIN);
    refused(reader.begin(ACCESS_WRITE, 11, 4, 0), Errno::EAGAIN);
    reader.begin(ACCESS_WRITE, 12, 4, 0).unwrap();
    holder.end(ACCESS_READ, 0, 8).unwrap();
    go.open();
    queue.finish();
}

fn a_request_that_gives_up_lets_those_behind_it_go() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_READ, 0, 8, 0).unwrap();
    let given_up = Handle::rw();
    std::thread::scope(|scope| {
        let deadline = in_ms(400);
        let given_up = &given_up;
        let writer = scope.spawn(move || given_up.begin(ACCESS_WRITE, 0, 8, deadline));
        until("the writer waits", || holder.stat().unwrap().waiters == 1);
        let reader = Handle::rw();
        // Behind the writer; free as soon as the writer has given up, though the holder holds on.
        reader.begin(ACCESS_READ, 0, 8, DEADLINE_NEVER).unwrap();
        assert!(now_ns() >= deadline, "it overtook the writer");
        refused(writer.join().unwrap(), Errno::ETIMEDOUT);
        reader.end(ACCESS_READ, 0, 8).unwrap();
    });
    go.open();
    holder.end(ACCESS_READ, 0, 8).unwrap();
}

fn a_killed_waiter_lets_those_behind_it_go() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_READ, 0, 8, 0).unwrap();
    let mut queue = Queue::behind(&holder);
    queue.join(ACCESS_WRITE, 0, 8, &go);
    queue.join(ACCESS_READ, 0, 8, &go);
    queue.processes.remove(0).kill();
    queue.wait_until_served(1);
    let stat = holder.stat().unwrap();
    assert_eq!(
        (stat.holders, stat.waiters),
        (2, 0),
        "the reader shares with the holder now"
    );
    go.open();
    queue.finish();
}

fn the_end_of_one_range_serves_all_that_became_free() {
    let (holder, go) = (Handle::rw(), Gate::new());
    holder.begin(ACCESS_WRITE, 0, 80, 0).unwrap();
    let mut queue = Queue::behind(&holder);
    for index in 0..8 {
        queue.join(ACCESS_WRITE, index * 10, 10, &go);
    }
    holder.end(ACCESS_WRITE, 0, 80).unwrap();
    queue.wait_until_served(8);
    assert_eq!(
        holder.stat().unwrap().holders,
        8,
        "none of them conflicts with another"
    );
    (0..8).for_each(|_| go.open());
    queue.finish();
}

fn a_wide_request_is_not_overtaken_by_narrow_ones() {
    let (left, right, go) = (Handle::rw(), Handle::rw(), Gate::new());
    left.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    right.begin(ACCESS_WRITE, 100, 8, 0).unwrap();
    let mut queue = Queue::behind(&left);
    queue.join(ACCESS_WRITE, 0, SIZE as u64, &go);
    let narrow = Handle::rw();
    refused(narrow.begin(ACCESS_WRITE, 50, 8, 0), Errno::EAGAIN);
    left.end(ACCESS_WRITE, 0, 8).unwrap();
    refused(narrow.begin(ACCESS_WRITE, 0, 8, 0), Errno::EAGAIN);
    assert_eq!(queue.served(), [0_u32; 0]);
    right.end(ACCESS_WRITE, 100, 8).unwrap();
    queue.wait_until_served(1);
    go.open();
    queue.finish();
    narrow.begin(ACCESS_WRITE, 50, 8, 0).unwrap();
}
