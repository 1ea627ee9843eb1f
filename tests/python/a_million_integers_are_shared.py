# SPDX-License-Identifier: MIT OR Apache-2.0
"""An array of a million 32-bit integers, made by one process and worked on by several. The segment has 4 MB."""
import array
import multiprocessing

from common import *

COUNT, WORKERS = 1_000_000, 8
fd = os.open(DEVICE, os.O_RDWR)
assert stat(fd)["size"] >= 4 * COUNT
m = mmap.mmap(fd, 4 * COUNT)
m[:] = array.array("I", range(COUNT)).tobytes()

share = COUNT // WORKERS


def all_from(first, count):
    """The sum of so many integers."""
    return count * (2 * first + count - 1) // 2


def work(number):
    """Checks its share of the array, and turns it round."""
    mine = os.open(DEVICE, os.O_RDWR)
    with mmap.mmap(mine, 4 * COUNT) as mapping, memoryview(mapping).cast("I") as numbers:
        first = number * share
        part = numbers[first : first + share]
        assert sum(part) == all_from(first, share), "the worker sees what was written"
        sync(mine, BEGIN, WRITE, 4 * first, 4 * share, NEVER)
        part[:] = memoryview(array.array("I", part[::-1]))
        sync(mine, END, WRITE, 4 * first, 4 * share)
        part.release()


before = stat(fd)["generation"]
fork_one = multiprocessing.get_context("fork").Process
workers = [fork_one(target=work, args=(number,)) for number in range(WORKERS)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
    assert worker.exitcode == 0, worker
with memoryview(m).cast("I") as numbers:
    for index in range(0, COUNT, 997):
        first = index // share * share
        assert numbers[index] == first + share - 1 - (index - first), index
    assert sum(numbers) == all_from(0, COUNT)
assert stat(fd)["generation"] == before + WORKERS
