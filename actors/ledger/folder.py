"""A daemon's directory, and the lock that shows whether the daemon lives.

Two flock(2) locks are held together. The one on the directory itself exists as long as the directory does,
and keeps tmp cleaners away (systemd-tmpfiles honours it). The one on `owner.lock` works on filesystems
that can't lock directories, such as NFS. Both end with the process, however it ends.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

from greenroom.actors.ledger.entry import ENTRIES_NAME, listed_sessions, read_entry
from greenroom.actors.profile import make_private
from greenroom.actors.profile.removal import remove_tree

LOCK_NAME = "owner.lock"

# A directory with this suffix is empty except for the lock file: only these two are left to remove.
ENDED = ".greenroom-ended"

_OWNER = re.compile(r"[0-9a-f]{32}-\d+")


@attrs.define(eq=False)
class FolderLock:
    """A lock on a directory, held until `release`. See `lock_folder`."""

    folder: Path
    _directory: int
    _file: int

    @property
    def inside(self) -> Path:
        """The locked directory itself, even if something else has taken its place."""
        return Path(f"/proc/self/fd/{self._directory}")

    def open_up(self) -> None:
        """Restore the permissions needed to sweep the directory, which somebody may have removed."""
        entries = self.inside / ENTRIES_NAME
        with contextlib.suppress(OSError):
            self.inside.chmod(stat.S_IRWXU)
            if stat.S_ISDIR(entries.lstat().st_mode):
                entries.chmod(stat.S_IRWXU)

    def is_in_place(self) -> bool:
        """Return whether the directory's path still leads to what is locked."""
        return _is_at(self._directory, self.folder) and _is_at(self._file, self.folder / LOCK_NAME)

    def restore(self) -> None:
        """Lock the directory's path again, with a new directory if the old one is gone.

        Raises `OSError` when that fails, or when somebody else holds a directory there.
        """
        if _is_at(self._directory, self.folder):
            file = _lock_file(self._directory)
            os.close(self._file)
            self._file = file
            return
        make_private(self.folder)
        descriptors = _lock(self.folder)
        self.release()
        self._directory, self._file = descriptors

    def release(self) -> None:
        """Release the directory."""
        os.close(self._file)
        os.close(self._directory)


def lock_folder(folder: Path) -> FolderLock:
    """Lock a directory of ours without waiting.

    Raises `BlockingIOError` when another process has it, `FileNotFoundError` when it is removed meanwhile,
    and another `OSError` when it can't be locked or is another user's.
    """
    return FolderLock(folder, *_lock(folder))


def is_ledger(folder: Path) -> bool:
    """Return whether `folder` is a daemon's, living or dead, and our user's own. Blocks.

    It is one if it has a lock file. If something has removed that, a daemon's name or a readable entry will
    do. Raises `OSError` when it can't be read.
    """
    if not _is_ours(folder, stat.S_IFDIR):
        return False
    try:
        return _is_ours(folder / LOCK_NAME, stat.S_IFREG)
    except FileNotFoundError:
        pass
    if folder.name.endswith(ENDED):
        return not any(folder.iterdir())
    return bool(_OWNER.fullmatch(folder.name)) or any(_readable_entries(folder))


def session_directories(folder: Path) -> list[Path]:
    """Return the directories of sessions in a daemon's directory. Blocks."""
    return [path for path in folder.iterdir() if path.name not in {LOCK_NAME, ENTRIES_NAME}]


def own_paths(folder: Path) -> list[Path]:
    """Return the existing files in a daemon's directory that belong to no session. Blocks."""
    return [path for name in (LOCK_NAME, ENTRIES_NAME) if (path := folder / name).exists()]


def session_of(directory: Path) -> str:
    """Return the session that a directory belongs to."""
    return directory.name.removesuffix(".tmp")


def remove_folder(lock: FolderLock) -> None:
    """Remove a dead daemon's directory: the sessions' directories first, the lock file last.

    A kill at any moment leaves what `is_ledger` still recognizes. Raises `CloneFailed` or `OSError`.
    """
    for path in session_directories(lock.inside):
        remove_tree(path)
    remove_tree(lock.inside / ENTRIES_NAME)
    folder = lock.folder
    if not folder.name.endswith(ENDED):
        folder = folder.rename(folder.with_name(folder.name + ENDED))
    (lock.inside / LOCK_NAME).unlink(missing_ok=True)
    folder.rmdir()


def _readable_entries(folder: Path) -> Iterator[str]:
    for session in listed_sessions(folder):
        with contextlib.suppress(OSError, ValueError):
            yield read_entry(folder, folder.name, session).session


def _is_ours(path: Path, kind: int) -> bool:
    status = path.lstat()
    return stat.S_IFMT(status.st_mode) == kind and status.st_uid == os.geteuid()


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    return False


def _lock(folder: Path) -> tuple[int, int]:
    """Return the locked directory and its locked lock file; see `lock_folder`."""
    with contextlib.ExitStack() as on_failure:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        on_failure.callback(os.close, directory)
        # Checked on the descriptor: others who can write to `clones_dir` could swap the path in between.
        if os.fstat(directory).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "Another user's directory", str(folder))
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # this filesystem can't lock directories: the file's lock has to do
        file = _lock_file(directory)
        on_failure.callback(os.close, file)
        # Another sweep may have removed both between open and flock: this lock would then guard nothing.
        if not (_is_at(directory, folder) and _is_at(file, folder / LOCK_NAME)):
            raise FileNotFoundError(errno.ENOENT, "Removed while it was locked", str(folder))
        on_failure.pop_all()
        return directory, file


def _lock_file(directory: int) -> int:
    """Return the locked lock file of a directory."""
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # NFS turns flock(2) into a fcntl lock, and an exclusive one needs a descriptor that can write.
        file = os.open(LOCK_NAME, flags | os.O_RDWR, 0o600, dir_fd=directory)
    except PermissionError:
        file = os.open(LOCK_NAME, flags | os.O_RDONLY, 0o600, dir_fd=directory)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file
