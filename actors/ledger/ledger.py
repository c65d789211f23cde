"""A living daemon's own ledger."""

import contextlib
import itertools
import os
import stat
import threading
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import attrs
import msgspec
import structlog
import trio

from greenroom.actors.errors import CloneFailed
from greenroom.actors.ledger.entry import (
    ENTRIES_NAME,
    Entry,
    OwnedProcess,
    marker_of,
    strike_entry,
    write_entry,
)
from greenroom.actors.ledger.folder import (
    FolderLock,
    lock_folder,
    own_paths,
    remove_folder,
    session_directories,
)
from greenroom.actors.ledger.sweep import KillMarked, sweep
from greenroom.actors.owner import OWNER
from greenroom.actors.profile import make_private, path_problem
from greenroom.actors.profile.removal import is_gone
from greenroom.actors.threads import Work, finish_in_thread, in_thread

# How long a disk may take for one of the ledger's steps, each of which is a millisecond's work. A step that
# takes longer is logged, and left to the next daemon.
_STEP_S = 10.0

# The bytes of a clone's path below `clones_dir`: our directory's name, and a session's id. The 999 is for the
# number that tells apart the ledgers of one process.
_BELOW = len(f"/{OWNER}-999/{uuid.UUID(int=0)}")

_numbers = itertools.count(1)
_log = structlog.get_logger("greenroom.ledger")


@attrs.define(eq=False, kw_only=True, repr=False)
class Ledger:
    """A living daemon's ledger in `folder`, to which nobody else writes. See `open_ledger`.

    `times_replaced` counts how often `folder` was recreated: a process that has an earlier one open, or
    mounted, does not see this one.
    """

    owner: str
    folder: Path
    times_replaced: int = attrs.field(default=0, init=False)
    _lock: FolderLock
    _entries: dict[str, Entry] = attrs.field(factory=dict, init=False)
    # Worker threads of several sessions may find the ledger gone at the same time.
    _restoring: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of all sessions that own something now."""
        return tuple(self._entries.values())

    def session_directories(self) -> list[Path]:
        """Return the sessions' directories that exist now, with or without an entry. Blocks."""
        try:
            return session_directories(self.folder)
        except FileNotFoundError:  # somebody has removed the whole folder
            return []

    def own_paths(self) -> list[Path]:
        """Return the ledger's own paths in its folder, which belong to no session. Blocks."""
        return own_paths(self.folder)

    @contextlib.asynccontextmanager
    async def hold(self, session: str) -> AsyncIterator[Entry]:
        """Keep an entry for `session` from before this block until after it; one block at a time may.

        The directories that it names don't exist yet, and should be removed within the block. If one of them
        is left nevertheless, the entry stays. Raises `CloneFailed` when it can't be written.
        """
        if session not in self._entries:
            entry = Entry(
                session=session,
                clone=str(self.folder / session),
                scratch=str(self.folder / f"{session}.tmp"),
                marker=marker_of(self.owner, session),
            )
            await self._write(entry)
        try:
            yield self._entries[session]
        finally:
            await self._strike(session)

    async def add_processes(self, session: str, pids: Iterable[int]) -> None:
        """Add processes to an entry that is held. Raises `CloneFailed` when it can't be written."""
        entry = self._entries[session]
        found = tuple(filter(None, map(OwnedProcess.of, pids)))
        await self._write(msgspec.structs.replace(entry, processes=entry.processes + found))

    async def left_of(self, session: str) -> tuple[str, ...]:
        """Return the names of a session's directories that still exist, or may exist."""
        paths = [self.folder / session, self.folder / f"{session}.tmp"]
        try:
            return await finish_in_thread(
                Work.LEDGER,
                lambda: tuple(path.name for path in paths if not is_gone(path)),
                within_s=_STEP_S,
            )
        except trio.TooSlowError:
            return tuple(path.name for path in paths)

    async def problem(self) -> str | None:
        """Return what keeps sessions from being listed, as a sentence without a path, or None.

        Recreates what somebody has removed of the ledger, so that this is not a problem.
        """
        try:
            return await finish_in_thread(Work.LEDGER, self._problem, within_s=_STEP_S)
        except trio.TooSlowError:
            return "The clones directory does not answer in time"

    def _problem(self) -> str | None:
        try:
            self._restore()
        except OSError as exc:
            return f"The clones directory is gone, and can't be recreated: {exc.strerror}"
        except CloneFailed as exc:
            return str(exc)
        if not os.access(self.folder, os.W_OK | os.X_OK, effective_ids=True):
            return "The clones directory can't be written"
        return None

    async def _write(self, entry: Entry) -> None:
        try:
            await finish_in_thread(Work.LEDGER, self._write_now, entry, within_s=_STEP_S)
        except trio.TooSlowError:
            raise CloneFailed("The ledger can't be written in time", detail=repr(str(self.folder))) from None
        self._entries[entry.session] = entry

    def _write_now(self, entry: Entry) -> None:
        try:
            self._restore()
        except OSError as exc:
            raise CloneFailed(
                "The clones directory is gone, and can't be recreated", detail=str(exc)
            ) from exc
        write_entry(self.folder, entry)

    def _restore(self) -> None:
        """Recreate the ledger's own directories and files, if somebody has removed them under us."""
        with self._restoring:
            entries = self.folder / ENTRIES_NAME
            if self._lock.is_in_place() and entries.is_dir():
                return
            if not self._lock.is_in_place():
                self._lock.restore()
                self.times_replaced += 1
            entries.mkdir(0o700, exist_ok=True)
            for entry in self.entries:
                write_entry(self.folder, entry)
            _log.error("the ledger was removed under this daemon; recreated it", entries=len(self.entries))

    async def _strike(self, session: str) -> None:
        """Remove a session's entry if none of its directories is left."""
        if not await self.left_of(session):
            with contextlib.suppress(trio.TooSlowError, CloneFailed):
                await finish_in_thread(Work.LEDGER, strike_entry, self.folder, session, within_s=_STEP_S)
                del self._entries[session]
                return
        _log.warning("kept a session's ledger entry: not everything could be removed", session_id=session)


@contextlib.asynccontextmanager
async def open_ledger(clones_dir: Path, kill_marked: KillMarked) -> AsyncIterator[Ledger]:
    """Own a new ledger in `clones_dir` for the length of the block; first end what dead daemons left there.

    `kill_marked` kills the processes that carry any of some markers until none is left, and returns the pids
    that it could not end, by marker. Leaving the block removes the ledger, unless something that it lists
    could not be removed or ended; the next daemon then tries again.
    Raises `CloneFailed` when `clones_dir` can't be written, or its path is too long for a browser's files.
    """
    ledger = await in_thread(Work.LEDGER, _begin, clones_dir, kill_marked)
    try:
        yield ledger
    finally:
        try:
            await finish_in_thread(Work.LEDGER, _finish, ledger, within_s=_STEP_S)
        except trio.TooSlowError:
            _log.error(
                "the ledger could not be removed in time; the next daemon will remove it", owner=ledger.owner
            )


def _begin(clones_dir: Path, kill_marked: KillMarked) -> Ledger:
    clones_dir = Path(os.path.realpath(clones_dir))  # a cell does not show the links that may lead there
    if problem := path_problem(clones_dir, below=_BELOW):
        raise CloneFailed(f"The clones directory {problem}", detail=repr(str(clones_dir)))
    try:
        make_private(clones_dir)
        _warn_if_shared(clones_dir)
        sweep(clones_dir, kill_marked)
        return _make(clones_dir)
    except OSError as exc:
        raise CloneFailed("The clones directory can't be used", detail=str(exc)) from exc


def _make(clones_dir: Path) -> Ledger:
    while True:
        owner = f"{OWNER}-{next(_numbers)}"
        folder = clones_dir / owner
        folder.mkdir(mode=0o700)
        try:
            lock = lock_folder(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # another daemon's sweep took it for a dead daemon's before we could lock it
        try:
            (folder / ENTRIES_NAME).mkdir(mode=0o700)
        except BaseException:
            lock.release()
            raise
        return Ledger(owner=owner, folder=folder, lock=lock)


def _warn_if_shared(clones_dir: Path) -> None:
    """Warn if other users could rename or remove our directories; they can't look into them."""
    status = clones_dir.stat()
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if (others and not status.st_mode & stat.S_ISVTX) or status.st_uid not in {0, os.geteuid()}:
        _log.warning("other users can write to the clones directory: make it 0700, owned by our user")


def _finish(ledger: Ledger) -> None:
    """Remove an empty ledger if it is still in its place."""
    lock = ledger._lock  # noqa: SLF001  # its own maker
    try:
        if ledger.entries:
            _log.error(
                "the ledger stays for the next daemon: some sessions left something", owner=ledger.owner
            )
        elif lock.is_in_place():
            remove_folder(lock)
    except (CloneFailed, OSError) as exc:
        detail = exc.detail if isinstance(exc, CloneFailed) else str(exc)
        _log.error("the ledger could not be removed; the next daemon will try again", detail=detail)
    finally:
        lock.release()
