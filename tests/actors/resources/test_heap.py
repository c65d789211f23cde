"""Threads share one heap, and its free memory is returned, as glibc and the kernel report."""

import platform
import subprocess
import sys

import pytest

# Has threads allocate at the same time, and prints how many arenas there are then.
_ALLOCATES = """
import ctypes, os, re, sys, tempfile, threading

def allocate():
    together.wait()
    ctypes.string_at(libc.malloc(100_000))
    together.wait()

def show():
    with tempfile.TemporaryFile() as file:
        stream = ctypes.c_void_p(libc.fdopen(os.dup(file.fileno()), b"w"))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        file.seek(0)
        told = file.read().decode()
    print(len(re.findall("<heap nr", told)))

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
together = threading.Barrier(4)

def use():
    threads = [threading.Thread(target=allocate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    show()
"""
_FUNCTION = "from greenroom.actors.resources import keep_one_arena\nassert keep_one_arena()\nuse()"
# Fills 20 MB of the heap and frees all but the last block, behind which nothing is free.
_LEAVES_HOLES = """
import ctypes, re
from pathlib import Path
from greenroom.actors.resources import give_back_memory

def resident():
    return int(re.search("RssAnon:.* ([0-9]+) kB", Path("/proc/self/status").read_text())[1])

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
blocks = [ctypes.memset(libc.malloc(20_000), 1, 20_000) for _ in range(1000)]
for block in blocks[:-1]:
    libc.free(block)
before = resident()
assert give_back_memory()
print(before - resident())
"""
_OTHER_LIBC = """
import ctypes
from greenroom.actors.resources import give_back_memory, keep_one_arena
ctypes.CDLL = lambda name: object()
assert (give_back_memory(), keep_one_arena()) == (False, False)
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")


def arenas(code: str) -> int:
    """Return the number of arenas after threads have allocated, in a process that runs `code`."""
    command = [sys.executable, "-c", _ALLOCATES + code]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_threads_share_an_arena() -> None:
    """By default, glibc gives threads their own arenas."""
    assert arenas("use()") > 1
    assert arenas(_FUNCTION) == 1


def test_holes_in_the_heap_are_given_back() -> None:
    """By default, glibc returns only the end of the heap."""
    told = subprocess.run([sys.executable, "-c", _LEAVES_HOLES], check=True, capture_output=True, text=True)
    assert int(told.stdout) > 15_000


def test_other_c_library_is_left_alone() -> None:
    """A C library other than glibc is not touched."""
    subprocess.run([sys.executable, "-c", _OTHER_LIBC], check=True)
