# SPDX-License-Identifier: MIT OR Apache-2.0
"""select.select, select.poll and select.epoll on the device."""
import select

from common import *

reader, writer = os.open(DEVICE, os.O_RDONLY), os.open(DEVICE, os.O_RDWR)


def look():
    stat(reader)


def seen_by_select():
    return bool(select.select([reader], [], [], 0)[0])


poller = select.poll()
poller.register(reader, select.POLLIN)
level, edge = select.epoll(), select.epoll()
level.register(reader, select.EPOLLIN)
edge.register(reader, select.EPOLLIN | select.EPOLLET)

look()
assert not seen_by_select() and not poller.poll(0) and not level.poll(0) and not edge.poll(0)
for _ in range(3):
    os.pwrite(writer, b"news", 0)
    assert seen_by_select() and poller.poll(0) == [(reader, select.POLLIN)]
    assert level.poll(0) == [(reader, select.EPOLLIN)] and level.poll(0)
    assert edge.poll(0) == [(reader, select.EPOLLIN)] and not edge.poll(0)
    look()
    assert not seen_by_select() and not poller.poll(0) and not level.poll(0)

# Always writable when open for writing.
assert select.select([], [writer], [], 0)[1] == [writer]

# Readers that sleep are woken by the end of a write in another process.
SLEEP = 40


def sleeper(wait):
    def body():
        fd = os.open(DEVICE, os.O_RDONLY)
        stat(fd)
        os.write(ready[1], b"x")
        assert wait(fd)
        assert os.pread(fd, 5, 0) == b"woken"

    return body


def by_epoll(fd):
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        return epoll.poll(SLEEP)


def by_poll(fd):
    mine = select.poll()
    mine.register(fd, select.POLLIN)
    return mine.poll(SLEEP * 1000)


ready = os.pipe()
sleepers = [fork(sleeper(wait)) for wait in (lambda fd: select.select([fd], [], [], SLEEP)[0], by_poll, by_epoll)]
for _ in sleepers:
    os.read(ready[0], 1)
m = mmap.mmap(writer, PAGE)
sync(writer, BEGIN, WRITE, 0, 5, NEVER)
m[:5] = b"woken"
sync(writer, END, WRITE, 0, 5)
join(*sleepers)
