"""Shared by the profile tests: profiles to clone, snapshots of their content, and Firefox's lock on them."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534

# What nsProfileLock::LockWithFcntl does, in a process of its own, as fcntl locks demand: a write lock over
# all of the file, which is truncated by being opened. lockf(3) over length 0 is that fcntl lock.
_HOLD_LOCK = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("locked", flush=True)
    sys.stdin.read()
"""


def make_profile(path: Path) -> Path:
    """Make a small profile like the one a clean exit leaves, including stale lock marks."""
    (path / "storage" / "default").mkdir(parents=True)
    (path / "startupCache").mkdir()
    (path / "prefs.js").write_text("user_pref('a', 1);")
    (path / "cookies.sqlite").write_bytes(bytes(range(256)) * 400)
    (path / "storage" / "default" / "data.sqlite").write_bytes(b"data")
    (path / "startupCache" / "startupCache.8.little").write_bytes(b"cache")
    (path / ".parentlock").touch()
    (path / "lock").symlink_to("127.0.1.1:+99999999")
    return path


@contextmanager
def deep_tree(top: Path, depth: int) -> Iterator[None]:
    """Make a tree with paths longer than the kernel accepts, and a file at every tenth level."""
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for level in range(depth):
        os.mkdir("d" * 20, dir_fd=here)
        if level % 10 == 0:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        inner = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        yield
    finally:  # pytest can't remove the tree if the test fails
        subprocess.run(["rm", "-rf", str(top)], check=True)


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, mtime and content of `root` and everything below it, by relative path."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, path.lstat().st_mtime_ns, _content(path))
        for path in (root, *root.rglob("*"))
    }


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return bytes(path.readlink())
    return path.read_bytes() if path.is_file() else b""


@contextmanager
def locked_by_other_process(profile: Path) -> Iterator[None]:
    """Hold Firefox's lock on `profile` in a child process for the length of the block."""
    command = [sys.executable, "-c", _HOLD_LOCK, str(profile / ".parentlock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"locked\n"
            yield
        finally:
            child.kill()


@contextmanager
def flocked(path: Path) -> Iterator[None]:
    """Hold a flock(2) lock, which Firefox does not use, on `path`."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def unprivileged_directory() -> Iterator[Path]:
    """Make a directory and act as a user bound by permissions: root becomes nobody during the block."""
    with tempfile.TemporaryDirectory() as name:
        user = os.geteuid()
        if user == 0:
            os.chown(name, _NOBODY, _NOBODY)
            os.seteuid(_NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)
