"""A ledger's entries, one file per session; a later daemon trusts one only as far as it can verify the owner.

A file's name is enough to know the session, and with it the marker of the session's processes. So an entry
that can't be read, or has another version, costs only the list of processes that were known by pid.
"""

import contextlib
import os
import signal
import stat
from pathlib import Path

import msgspec

from greenroom.actors.errors import CloneFailed
from greenroom.actors.profile.removal import remove_tree

ENTRIES_NAME = "ledger"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ENTRY_VERSION = 1
_MAX_BYTES = 1 << 20


class OwnedProcess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process, identified by more than its pid, since the kernel reuses pids.

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
        """Kill the process if it is still the same one and our user's; return whether it was."""
        try:
            # The pidfd comes before the checks: what they find then holds for what the signal hits.
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
    """What one session owns: two directories, its processes' marker, and the processes known by pid."""

    version: int = _ENTRY_VERSION
    session: str
    clone: str
    scratch: str
    marker: str
    processes: tuple[OwnedProcess, ...] = ()


def marker_of(owner: str, session: str) -> str:
    """Return the marker that a session's processes carry."""
    return f"{owner}.{session}"


def entry_path(folder: Path, session: str) -> Path:
    """Return the path of a session's entry."""
    return folder / ENTRIES_NAME / f"{session}.json"


def write_entry(folder: Path, entry: Entry) -> None:
    """Replace an entry's file atomically: a reader finds the old one or the new one.

    Raises `CloneFailed` when it can't be written; the old one then stays.
    """
    path = entry_path(folder, entry.session)
    part = path.with_suffix(".part")
    try:
        # No fsync: an entry has to outlive this process, but not a crash of the machine.
        part.write_bytes(msgspec.json.encode(entry))
        part.rename(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            part.unlink()
        raise CloneFailed("The ledger can't be written", detail=str(exc)) from exc


def read_entry(folder: Path, owner: str, session: str) -> Entry:
    """Return the entry of a session of `owner`, whose directory is `folder`.

    Raises `OSError` or `ValueError` if it can't be read, is another user's, or is not of this session.
    """
    try:
        entry = msgspec.json.decode(_content(entry_path(folder, session)), type=Entry)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if entry.version != _ENTRY_VERSION:
        raise ValueError(f"the version is {entry.version}, not {_ENTRY_VERSION}")
    if (entry.session, entry.marker) != (session, marker_of(owner, session)):
        raise ValueError(f"the marker {entry.marker!r} is not this session's")
    return entry


def _content(path: Path) -> bytes:
    # O_NONBLOCK: opening a FIFO of that name must not wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise ValueError("not a regular file of our user's")
        if status.st_size > _MAX_BYTES:
            raise ValueError("too long")
        return os.read(descriptor, _MAX_BYTES)
    finally:
        os.close(descriptor)


def listed_sessions(folder: Path) -> set[str]:
    """Return the sessions with an entry, be it half written or of another version. Blocks."""
    return set(_by_session(folder))


def _by_session(folder: Path) -> dict[str, list[Path]]:
    entries = folder / ENTRIES_NAME
    found: dict[str, list[Path]] = {}
    if entries.is_dir() and not entries.is_symlink():
        for path in entries.iterdir():
            found.setdefault(path.name.partition(".")[0], []).append(path)
    return found


def keep_entry(folder: Path, session: str) -> None:
    """Make sure that the entry's file exists; its name alone tells the next sweep what to end."""
    entries = folder / ENTRIES_NAME
    if not entries.is_dir() or entries.is_symlink():
        remove_tree(entries)
        entries.mkdir(0o700)
    with contextlib.suppress(FileExistsError):
        entry_path(folder, session).touch(exist_ok=False)


def strike_entry(folder: Path, session: str) -> None:
    """Remove all files of an entry. Raises `CloneFailed` when one can't be removed."""
    for path in _by_session(folder).get(session, []):
        remove_tree(path)


def _started(pid: int) -> int | None:
    """Return the start time of a process that is not a zombie, or None."""
    try:
        # The second field, the command's name, may hold spaces and brackets; only the last ")" ends it.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _user(pid: int) -> int | None:
    """Return the real user of a process, or None.

    Its directory in /proc won't do: that belongs to root while the process is not dumpable (proc(5)).
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), None)


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
