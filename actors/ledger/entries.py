"""A ledger's entries: one file a session, which whoever comes later trusts as far as it must be its owner's.

A file's name alone says which session it is of, and so the marker of that session's processes: an entry that
can't be read, or is another version's, loses nothing but the list of the processes that were known by pid.
"""

import contextlib
import os
import signal
import stat
from pathlib import Path

import msgspec

from actors.errors import CloneFailed
from actors.removal import remove_tree

ENTRIES_NAME = "ledger"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ENTRY_VERSION = 1
_MAX_BYTES = 1 << 20


class OwnedProcess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process, told by more than its pid, which may be another's tomorrow.

    `started` is its start in clock ticks since boot (field 22 of proc_pid_stat(5)), `boot` the boot's id.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "OwnedProcess | None":
        """Return the process that has this pid now, or None."""
        started = _started(pid)
        return None if started is None else cls(pid=pid, started=started, boot=_boot_id())

    def kill(self) -> bool:
        """Kill it if it is still the same process and our user's, and tell whether it was."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except (OSError, ValueError, OverflowError):
            return False
        try:
            if self.boot != _boot_id() or _started(self.pid) != self.started:
                return False
            if _user(self.pid) != os.getuid():
                return False
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return True
        finally:
            os.close(pidfd)


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one session owns: two directories, its processes' marker, and those of them that are known."""

    version: int = _ENTRY_VERSION
    session: str
    clone: str
    scratch: str
    marker: str
    processes: tuple[OwnedProcess, ...] = ()


def marker_of(owner: str, session: str) -> str:
    """Return what the processes of a session carry."""
    return f"{owner}.{session}"


def entry_path(folder: Path, session: str) -> Path:
    """Return where the entry of a session is."""
    return folder / ENTRIES_NAME / f"{session}.json"


def write_entry(folder: Path, entry: Entry) -> None:
    """Replace an entry's file as a whole: a reader finds the old one or the new one.

    Raises `CloneFailed` when it can't be written, and then leaves the old one.
    """
    path = entry_path(folder, entry.session)
    part = path.with_suffix(".part")
    try:
        part.write_bytes(msgspec.json.encode(entry))
        part.rename(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            part.unlink()
        raise CloneFailed("The ledger can't be written", detail=str(exc)) from exc


def read_entry(folder: Path, owner: str, session: str) -> Entry:
    """Return an entry of `owner`, whose directory `folder` is.

    Raises `OSError` or `ValueError` for one that can't be read, is another user's, or not of this session.
    """
    try:
        entry = msgspec.json.decode(_content(entry_path(folder, session)), type=Entry)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if entry.version != _ENTRY_VERSION:
        raise ValueError(f"of version {entry.version}")
    if (entry.session, entry.marker) != (session, marker_of(owner, session)):
        raise ValueError(f"the marker {entry.marker!r} is not of this session")
    return entry


def _content(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise ValueError("not a file of ours")
        if status.st_size > _MAX_BYTES:
            raise ValueError("too long")
        return os.read(descriptor, _MAX_BYTES)
    finally:
        os.close(descriptor)


def listed_sessions(folder: Path) -> set[str]:
    """Return the sessions that have an entry, the beginning of one, or another version's. Blocks."""
    return set(_by_session(folder))


def _by_session(folder: Path) -> dict[str, list[Path]]:
    entries = folder / ENTRIES_NAME
    found: dict[str, list[Path]] = {}
    if entries.is_dir() and not entries.is_symlink():
        for path in entries.iterdir():
            found.setdefault(path.name.partition(".")[0], []).append(path)
    return found


def keep_entry(folder: Path, session: str) -> None:
    """See to it that there is an entry's file, which by its name alone says what is to be ended."""
    entries = folder / ENTRIES_NAME
    if not entries.is_dir() or entries.is_symlink():
        remove_tree(entries)
        entries.mkdir(0o700)
    with contextlib.suppress(FileExistsError):
        entry_path(folder, session).touch(exist_ok=False)


def strike_entry(folder: Path, session: str) -> None:
    """Remove what there is of an entry. Raises `CloneFailed` when it can't be."""
    for path in _by_session(folder).get(session, []):
        remove_tree(path)


def _started(pid: int) -> int | None:
    """Return the start time of a process that is no zombie, or None."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _user(pid: int) -> int | None:
    """Return the real user of a process, or None. Its directory in /proc may be root's instead."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), None)


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
