"""HDF5 files that may be open for writing, left by a killed writer, or damaged.

Such a file opens only in single-writer-multiple-reader (SWMR) mode, which waits for ever for parts
that are missing or damaged. So that mode is used while the writer lives only.
"""

import io
import os

import h5py
import numpy as np

_SIGNATURE = b"\x89HDF\r\n\x1a\n\x03"  # of superblock version 3, as the newest format has it

_FLAGS, _END, _CHECKSUM = 11, slice(28, 36), slice(44, 48)


class Superblock:
    """The first 48 bytes of an HDF5 file: whether it is open for writing, and its length.

    Raises
    ------
    OSError
        No file, no HDF5, or the superblock is damaged.
    """

    def __init__(self, path):
        with open(path, "rb") as stream:
            status, self.block = os.fstat(stream.fileno()), stream.read(48)
        block, self.inode, self.size = self.block, status.st_ino, status.st_size
        if len(block) < 48 or not block.startswith(_SIGNATURE):
            raise OSError("no HDF5 of the newest format, or truncated")
        if checksum(block[:44]) != block[_CHECKSUM]:
            raise OSError("its superblock is damaged")
        self.is_open = block[_FLAGS] != 0
        self.end = int.from_bytes(block[_END], "little")
        if self.size < self.end:
            raise OSError(f"truncated: {self.size} of {self.end} bytes")


def open_file(path, is_written):
    """Open an HDF5 file of the newest format for reading.

    Parameters
    ----------
    path : path
    is_written : callable
        Whether its writer lives; asked where the file is marked as open.

    Raises
    ------
    OSError, RuntimeError, ValueError
        Damaged, or its writer is in the middle of something.
    """
    superblock = Superblock(path)
    if not superblock.is_open:
        return h5py.File(path, "r", libver="latest")
    if is_written():
        return h5py.File(path, "r", libver="latest", swmr=True)
    with open(path, "rb") as stream:
        content = bytearray(stream.read())
    content[_FLAGS] = 0
    content[_CHECKSUM] = checksum(content[:44])
    return h5py.File(io.BytesIO(content), "r", libver="latest")


def one_line(error):
    """The message of an error in one line: HDF5's may have several, others none."""
    return " ".join(str(error).split()) or type(error).__name__


def plain(number):
    """A NumPy number as Python's, for JSON."""
    if isinstance(number, np.generic):
        return number.item()
    raise TypeError(f"{type(number).__name__} is nothing that JSON can hold")


def write_attributes(file, values):
    """Write root attributes, text with a fixed length: HDF5 has no checksum over other text."""
    for name, value in values.items():
        if isinstance(value, str):
            text = value.encode()
            dtype = h5py.string_dtype("utf-8", max(1, len(text)))
            file.attrs.create(name, text, dtype=dtype)
        else:
            file.attrs[name] = value


def checksum(data):
    """Jenkins' lookup3 hash of bytes whose number is 8 more than a multiple of 12, as in HDF5."""
    words = [int.from_bytes(data[k : k + 4], "little") for k in range(0, len(data), 4)]
    mask = 0xFFFFFFFF

    def rotated(x, k):
        return (x << k | x >> (32 - k)) & mask

    state = [(0xDEADBEEF + len(data)) & mask] * 3
    for k in range(0, len(words) - 2, 3):
        state = [(x + w) & mask for x, w in zip(state, words[k : k + 3])]
        for n, turn in enumerate((4, 6, 8, 16, 19, 4)):
            x, y, z = n % 3, (n + 1) % 3, (n + 2) % 3
            state[x] = ((state[x] - state[z]) & mask) ^ rotated(state[z], turn)
            state[z] = (state[z] + state[y]) & mask
    state[0], state[1] = (state[0] + words[-2]) & mask, (state[1] + words[-1]) & mask
    for n, turn in enumerate((14, 11, 25, 16, 4, 14, 24)):
        x, y = (n + 2) % 3, (n + 1) % 3
        state[x] = ((state[x] ^ state[y]) - rotated(state[y], turn)) & mask
    return state[2].to_bytes(4, "little")
