"""The thread that writes the history: it takes what has ended, and nobody waits for it."""

import math
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
import structlog

from greenroom.actors.bulkhead import contain, report
from greenroom.supervisor.history.entry import EndedSession
from greenroom.supervisor.history.file import HistoryFile
from greenroom.supervisor.history.filters import to_us
from greenroom.supervisor.history.schema import NewerSchema

# How long to wait before a file that could not be written is tried again.
RETRY_S: Final = 15.0
# How often sessions are removed that are too old.
PRUNE_S: Final = 3600.0
# How many are kept at most: a client that is refused again and again must not fill the disk.
MAX_KEPT: Final = 200_000
# How many may come before that is looked after again.
_PRUNE_EACH: Final = 10_000
# How many sessions wait for a file that can't be written. The oldest are given up first.
MAX_WAITING: Final = 10_000

_STUCK = "the history of ended sessions can't be written; sessions go on, and it is tried again"
_MISSING = "ended sessions are missing in the history: it could not be written in time"

_log = structlog.get_logger("greenroom.history")


class _Close:
    """Asks the thread to end."""


@attrs.define(eq=False, repr=False)
class Writer:
    """Writes what it is given to the history at `path`, in a thread of its own, and keeps it for `days`.

    `problem` says why the latest sessions may be missing in the file, without its path; None while they are
    not. Whatever goes wrong with the file is logged once, and again when it is another problem.
    """

    path: Path
    _days: float
    _open: Callable[[Path], HistoryFile] = HistoryFile.open
    _retry_s: float = RETRY_S
    problem: str | None = attrs.field(default=None, init=False)
    _given: "queue.SimpleQueue[EndedSession | _Close]" = attrs.field(factory=queue.SimpleQueue, init=False)
    _waiting: deque[EndedSession] = attrs.field(factory=lambda: deque(maxlen=MAX_WAITING), init=False)
    _file: HistoryFile | None = attrs.field(default=None, init=False)
    _is_over: bool = attrs.field(default=False, init=False)
    _pruned: float = attrs.field(default=-math.inf, init=False)
    _unpruned: int = attrs.field(default=0, init=False)
    _thread: threading.Thread = attrs.field(init=False)

    def start(self) -> None:
        """Start the thread. Raises `RuntimeError` if the machine has none left."""
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def put(self, entry: EndedSession) -> None:
        """Have a session written. Never blocks: it is given up if too many wait, as for a disk that hangs."""
        if self._given.qsize() < MAX_WAITING:
            self._given.put(entry)
        else:
            _warn(_MISSING, path=self.path)

    def close(self, within_s: float) -> None:
        """Return once all is written that was put before, or it takes too long. Blocks."""
        self._given.put(_Close())
        self._thread.join(within_s)
        if self._thread.is_alive():
            _warn(_MISSING, path=self.path)

    def _run(self) -> None:
        is_closing = False
        while not is_closing:
            self._work()
            is_closing = self._take()
        self._work()
        if self._waiting and not self._is_over:
            _warn(_MISSING, path=self.path, count=len(self._waiting))
        if self._file is not None:
            self._file.close()

    def _take(self) -> bool:
        """Wait for something to do; return whether it was the end."""
        try:
            given = self._given.get(timeout=self._retry_s if self.problem else PRUNE_S)
        except queue.Empty:
            return False
        while True:
            if isinstance(given, _Close):
                return True
            self._waiting.append(given)
            try:
                given = self._given.get_nowait()
            except queue.Empty:
                return False

    def _work(self) -> None:
        """Write what waits, and remove what is too old."""
        if self._is_over:
            self._waiting.clear()
            return
        try:
            file = self._current()
            if self._waiting:
                file.add(self._waiting)
                self._unpruned += len(self._waiting)
                self._waiting.clear()
            self._prune(file)
        except NewerSchema as exc:
            self._is_over, self.problem = True, str(exc)
            _warn("the daemon runs without a history: install that version", path=self.path, problem=str(exc))
        except (sqlite3.Error, OSError) as exc:
            self._fail(exc)
        except Exception as exc:  # a session that can't be written must not keep the next from it
            contain(exc, _log, "writing the history failed")
            self._waiting.clear()
            self._drop()
        else:
            if self.problem is not None:
                self.problem = None
                report(_log.info, "the history of ended sessions is written again", path=str(self.path))

    def _current(self) -> HistoryFile:
        if self._file is not None and not self._file.is_current:
            self._drop()
        if self._file is None:
            self._file = self._open(self.path)
            if self._file.aside is not None:
                _warn(
                    "the history of ended sessions was damaged: it is put aside, and begun anew",
                    path=self.path,
                    aside=str(self._file.aside),
                )
        return self._file

    def _prune(self, file: HistoryFile) -> None:
        if time.monotonic() - self._pruned >= PRUNE_S or self._unpruned >= _PRUNE_EACH:
            file.prune(to_us(datetime.now(UTC) - timedelta(days=self._days)), most=MAX_KEPT)
            self._pruned, self._unpruned = time.monotonic(), 0

    def _fail(self, error: Exception) -> None:
        """Note why nothing can be written, and begin anew with the file: what is wrong may be the file."""
        problem = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
        if problem != self.problem:
            _warn(_STUCK, path=self.path, problem=problem)
        self.problem = problem
        self._drop()

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _warn(event: str, *, path: Path, **fields: object) -> None:
    report(_log.warning, event, path=str(path), **fields)
