# SPDX-License-Identifier: MIT OR Apache-2.0
"""A mutex in Python, on WAIT, WAKE and ROBUST_ADD. When the process that has it is killed, the next one gets it and is told:
one that waits for a multiprocessing.Lock then waits for ever."""
import ctypes
import signal
import time

from common import *

# Python has no compare-and-exchange. The library that compilers call for it, GCC's, has.
compare_exchange = ctypes.CDLL("libatomic.so.1").__atomic_compare_exchange_4
compare_exchange.restype = ctypes.c_bool
compare_exchange.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_int)
ORDERED = 5


class Mutex:
    """A lock word: 0, or the token of its owner's handle; and two flags. Each process has a handle of its own."""

    def __init__(self, fd, memory, offset):
        self.fd, self.offset = fd, offset
        self.token = info(fd)["token"]
        self.word = ctypes.c_uint32.from_buffer(memory, offset)
        robust_add(fd, offset)

    def change(self, old, new):
        """Whether the word was `old`, and is `new` now."""
        expected = ctypes.c_uint32(old)
        return compare_exchange(ctypes.byref(self.word), ctypes.byref(expected), new, ORDERED, ORDERED)

    def acquire(self, deadline=NEVER):
        """Takes it. True tells that the owner before died: what it guards may be half changed."""
        waited = 0
        while True:
            value = self.word.value
            if not value & TOKEN:
                # Who has waited does not know whether others do: he may wake one for nothing.
                if self.change(value, self.token | value & WORD_WAITERS | waited):
                    return bool(value & WORD_OWNER_DIED)
            elif value & WORD_WAITERS or self.change(value, value | WORD_WAITERS):
                waited = WORD_WAITERS
                try:
                    wait(self.fd, self.offset, value | WORD_WAITERS, deadline)
                except BlockingIOError:
                    pass

    def release(self):
        value = self.word.value
        assert value & TOKEN == self.token, "it is not ours"
        while not self.change(value, 0):
            value = self.word.value
        # Who is killed here has wakened nobody: the kernel does that for him.
        if value & WORD_WAITERS:
            wake(self.fd, self.offset)


LOCK, HERE, THERE, TOLD = 0, 64, 128, 192


class Accounts:
    """Two numbers that are the same whenever the mutex is free."""

    def __init__(self):
        fd = os.open(DEVICE, os.O_RDWR)
        create(fd, "accounts", PAGE)
        memory = mmap.mmap(fd, PAGE)
        self.fd = fd
        self.mutex = Mutex(fd, memory, LOCK)
        self.here, self.there, self.told = (
            ctypes.c_uint64.from_buffer(memory, offset) for offset in (HERE, THERE, TOLD)
        )

    def repair(self, died):
        if died:
            self.there.value = self.here.value
            self.told.value += 1


def sleepers(count):
    while stat(accounts.fd)["sleepers"] != count:
        time.sleep(0.001)


accounts = Accounts()

# It excludes.
TIMES, PROCESSES = 300, 3


def count():
    own = Accounts()
    for _ in range(TIMES):
        assert own.mutex.acquire() is False
        assert own.here.value == own.there.value
        own.here.value += 1
        own.there.value += 1
        own.mutex.release()


join(*(fork(count) for _ in range(PROCESSES)))
assert accounts.here.value == accounts.there.value == TIMES * PROCESSES
assert accounts.mutex.word.value == 0

# One who has it gives it to one who waits.
assert accounts.mutex.acquire() is False


def take_and_give():
    own = Accounts()
    assert own.mutex.acquire() is False
    own.mutex.release()


waiters = [fork(take_and_give), fork(take_and_give)]
sleepers(2)
raises(TimeoutError, Accounts().mutex.acquire, NOW)
accounts.mutex.release()
join(*waiters)

# One who has it is killed in the middle of a change.
ready = os.pipe()


def victim():
    own = Accounts()
    own.mutex.acquire()
    own.here.value += 1
    os.write(ready[1], b"x")
    signal.pause()


def heir():
    own = Accounts()
    died = own.mutex.acquire()
    assert died is True
    assert own.here.value == own.there.value + 1
    own.repair(died)
    own.mutex.release()


def successor():
    own = Accounts()
    own.repair(own.mutex.acquire())
    assert own.here.value == own.there.value
    own.mutex.release()


# Whoever comes next is told, once.
before = accounts.here.value
process = fork(victim)
os.read(ready[0], 1)
os.kill(process, signal.SIGKILL)
os.waitpid(process, 0)
assert accounts.mutex.word.value == WORD_OWNER_DIED
heir()
assert accounts.mutex.acquire() is False
accounts.mutex.release()
assert accounts.here.value == accounts.there.value == before + 1

# And so is one who waits already.
process = fork(victim)
os.read(ready[0], 1)
waiter = fork(heir)
sleepers(1)
os.kill(process, signal.SIGKILL)
join(waiter)
os.waitpid(process, 0)
assert accounts.here.value == accounts.there.value == before + 2

# Of several who wait, one is told, and all get it.
process = fork(victim)
os.read(ready[0], 1)
waiters = [fork(successor) for _ in range(3)]
sleepers(3)
os.kill(process, signal.SIGKILL)
join(*waiters)
os.waitpid(process, 0)
assert accounts.here.value == accounts.there.value == before + 3
assert accounts.told.value == 3
remove(accounts.fd, "accounts")
