"""The ledger: what a daemon owns, on disk before it exists, so that whoever comes after a crash can end it.

A daemon keeps everything of its sessions in one directory of its own, `clones_dir/OWNER`: a lock file that
it holds as long as it lives, an entry per session in `ledger/`, and the sessions' directories. A later daemon
that gets the lock knows that the owner is dead, ends what the entries list, and removes the directory. What
is in no such directory or entry is never touched: no other daemon's session, no browser of the user's own.
"""

import contextlib
import itertools
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path

import attrs
import filelock
import msgspec
import structlog
import trio

from actors.errors import CloneFailed
from actors.owner import HOST_PREFIX, OWNER
from actors.profile import remove_clone
from actors.resources import Promises

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOCK_NAME = "owner.lock"
_ENTRIES_NAME = "ledger"
_ENTRY_VERSION = 1

_numbers = itertools.count(1)
_log = structlog.get_logger("greenroom.ledger")

KillMarked = Callable[[str], Sequence[int]]


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
        """Kill it if it is still the same process, and tell whether it was."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except (OSError, ValueError, OverflowError):
            return False
        try:
            if self.boot != _boot_id() or _started(self.pid) != self.started:
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


@attrs.define(eq=False, kw_only=True, repr=False)
class Ledger:
    """A living daemon's ledger in `folder`, to which nobody else writes. See `open_ledger`.

    Beside what sessions own, it has in `promises` what they are about to take; those die with the daemon.
    """

    owner: str
    folder: Path
    promises: Promises = attrs.field(factory=Promises, init=False)
    _entries: dict[str, Entry] = attrs.field(factory=dict, init=False)
    _holders: Counter[str] = attrs.field(factory=Counter, init=False)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that is owned now."""
        return tuple(self._entries.values())

    def session_directories(self) -> list[Path]:
        """Return the directories of sessions that exist now, whether an entry lists them or not. Blocks."""
        return _session_directories(self.folder)

    @contextlib.asynccontextmanager
    async def hold(self, session: str) -> AsyncIterator[Entry]:
        """Keep an entry for `session` from before the block on, until the last block for it is left.

        The directories that it names do not exist yet; they are to be removed within the block. Where one
        of them stays all the same, so does the entry. Raises `CloneFailed` when it can't be written.
        """
        if session not in self._entries:
            entry = Entry(
                session=session,
                clone=str(self.folder / session),
                scratch=str(self.folder / f"{session}.tmp"),
                marker=f"{self.owner}.{session}",
            )
            await trio.to_thread.run_sync(self._write, entry)
            self._entries[session] = entry
        self._holders[session] += 1
        try:
            yield self._entries[session]
        finally:
            self._holders[session] -= 1
            if not self._holders[session]:
                del self._holders[session]
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(self._strike, session)

    async def add_processes(self, session: str, pids: Iterable[int]) -> None:
        """Put processes into an entry that is held. Raises `CloneFailed` when it can't be written."""
        entry = self._entries[session]
        found = tuple(filter(None, map(OwnedProcess.of, pids)))
        entry = msgspec.structs.replace(entry, processes=entry.processes + found)
        await trio.to_thread.run_sync(self._write, entry)
        self._entries[session] = entry

    def _strike(self, session: str) -> None:
        entry = self._entries[session]
        if not any(os.path.lexists(directory) for directory in (entry.clone, entry.scratch)):
            self._path(session).unlink(missing_ok=True)
            del self._entries[session]

    def _write(self, entry: Entry) -> None:
        """Replace the entry's file as a whole: a reader finds the old one or the new one."""
        path = self._path(entry.session)
        part = path.with_suffix(".part")
        try:
            part.write_bytes(msgspec.json.encode(entry))
            part.rename(path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                part.unlink()
            raise CloneFailed("The ledger can't be written", detail=str(exc)) from exc

    def _path(self, session: str) -> Path:
        return self.folder / _ENTRIES_NAME / f"{session}.json"


@contextlib.asynccontextmanager
async def open_ledger(clones_dir: Path, kill_marked: KillMarked) -> AsyncIterator[Ledger]:
    """Own a new ledger in `clones_dir` for the length of the block; first end what dead daemons left there.

    `kill_marked` kills the processes that carry a marker, until none is left, and returns the pids of those
    that it has to leave. Leaving the block removes the ledger, unless something that it lists could not be
    removed or ended: the next daemon then tries again.
    Raises `CloneFailed` when `clones_dir` can't be written.
    """
    ledger, lock = await trio.to_thread.run_sync(_begin, clones_dir, kill_marked)
    try:
        yield ledger
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_finish, ledger, lock)


def _begin(clones_dir: Path, kill_marked: KillMarked) -> tuple[Ledger, filelock.BaseFileLock]:
    try:
        clones_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(clones_dir, kill_marked)
        while True:
            owner = f"{OWNER}-{next(_numbers)}"
            folder = clones_dir / owner
            folder.mkdir(mode=0o700)
            lock = _lock(folder)
            with contextlib.suppress(filelock.Timeout, FileNotFoundError):
                lock.acquire()
                (folder / _ENTRIES_NAME).mkdir(mode=0o700)
                return Ledger(owner=owner, folder=folder), lock
            # Another daemon's sweep found the lock file before it was locked, and took it for a dead one's.
    except OSError as exc:
        raise CloneFailed("The clones directory can't be used", detail=str(exc)) from exc


def _finish(ledger: Ledger, lock: filelock.BaseFileLock) -> None:
    try:
        if not ledger.entries:
            remove_clone(ledger.folder)
    finally:
        lock.release()


def sweep(clones_dir: Path, kill_marked: KillMarked) -> int:
    """End what dead daemons' ledgers in `clones_dir` list; return how many there were. Blocks.

    What can't be read or removed is logged, and costs nothing else. The entry of a session whose processes
    can't be ended stays, for the next sweep; its directories go.
    """
    count = 0
    for folder in sorted(clones_dir.iterdir()):
        lock = _lock(folder)
        try:
            if not (folder / _LOCK_NAME).is_file():
                continue  # no ledger, or one that is being made: its lock file comes first
            lock.acquire()
        except (filelock.Timeout, OSError):
            continue  # its daemon lives, or it is not ours to read
        try:
            _sweep_dead(folder, kill_marked)
            count += 1
        finally:
            lock.release()
    return count


def _sweep_dead(folder: Path, kill_marked: KillMarked) -> None:
    ended, alive = [], []
    for path, entry in _read_entries(folder):
        for process in entry.processes:
            process.kill()
        if pids := kill_marked(entry.marker):
            _log.warning(
                "processes of a dead daemon can't be ended: the next start tries again",
                owner=folder.name,
                session_id=entry.session,
                pids=list(pids),
            )
            alive.append(path)
        else:
            ended.append(path)
    try:
        for path in [*_session_directories(folder), *ended] if alive else [folder]:
            _remove(path)
    except (CloneFailed, OSError) as exc:
        detail = exc.detail if isinstance(exc, CloneFailed) else str(exc)
        _log.error("a dead daemon's directory can't be removed", detail=detail)
    else:
        _log.info("ended what a dead daemon left", owner=folder.name, sessions=len(ended))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_clone(path)
    else:
        path.unlink(missing_ok=True)


def _session_directories(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name not in {_LOCK_NAME, _ENTRIES_NAME}]


def _read_entries(folder: Path) -> Iterator[tuple[Path, Entry]]:
    """Yield the entries, hosts first: they could start what sessions own."""
    paths = sorted((folder / _ENTRIES_NAME).glob("*.json"))
    for path in sorted(paths, key=lambda path: not path.name.startswith(HOST_PREFIX)):
        try:
            yield path, _read_entry(path, folder)
        except (OSError, ValueError, RecursionError) as exc:
            _log.error("a ledger entry can't be read", entry=path.name, detail=str(exc))


def _read_entry(path: Path, folder: Path) -> Entry:
    """Return an entry. Raises `ValueError` for none, or one whose marker reaches beyond its own daemon."""
    if not path.is_file():
        raise ValueError("not a file")
    entry = msgspec.json.decode(path.read_bytes(), type=Entry)
    if not entry.marker.startswith(f"{folder.name}."):
        raise ValueError(f"the marker {entry.marker!r} is not of this ledger")
    return entry


def _lock(folder: Path) -> filelock.BaseFileLock:
    return filelock.UnixFileLock(folder / _LOCK_NAME, timeout=0, thread_local=False)


def _started(pid: int) -> int | None:
    """Return the start time of a process that is no zombie, or None."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
