# SPDX-License-Identifier: MIT OR Apache-2.0
"""Windows of the segment, each at its offset."""
import errno

from common import *

STEP = mmap.ALLOCATIONGRANULARITY
fd = os.open(DEVICE, os.O_RDWR)
whole = mmap.mmap(fd, SIZE)
for index in range(SIZE // STEP):
    whole[index * STEP : index * STEP + 4] = index.to_bytes(4, "little")
for index in range(0, SIZE // STEP, 17):
    with mmap.mmap(fd, STEP, offset=index * STEP) as window:
        assert int.from_bytes(window[:4], "little") == index
        window[STEP - 1] = index % 256
        assert whole[(index + 1) * STEP - 1] == index % 256

# Two windows that overlap, in pieces of 64 KiB as a reader of a large file goes through it.
with mmap.mmap(fd, 16 * STEP, offset=8 * STEP) as one, mmap.mmap(fd, 16 * STEP, offset=16 * STEP) as other:
    one[8 * STEP : 8 * STEP + 6] = b"common"
    assert other[:6] == b"common"

# The last page, and what is not there.
with mmap.mmap(fd, STEP, offset=SIZE - STEP) as last:
    last[-3:] = b"end"
    assert os.pread(fd, 3, SIZE - 3) == b"end"
refused(errno.EINVAL, mmap.mmap, fd, STEP, offset=SIZE)
refused(errno.EINVAL, mmap.mmap, fd, 2 * STEP, offset=SIZE - STEP)
refused(errno.EINVAL, mmap.mmap, fd, SIZE + 1)
refused(errno.EINVAL, mmap.mmap, fd, STEP, offset=1)
raises((OSError, OverflowError, ValueError), mmap.mmap, fd, STEP, offset=-STEP)
