"""Standard output and error that never block the daemon, even if nobody reads them."""

import atexit
import io
import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

MAX_PENDING_BYTES: Final = 1 << 20
LAST_WORDS_S: Final = 2.0


class PatientStream(io.TextIOBase):
    """A text stream to a descriptor. A separate thread does the writing, so `write` returns at once.

    A text is dropped if more than `max_pending` bytes are still unwritten, or if it can't be written (nobody
    reads any more, the disk is full, the descriptor is closed). `describe_loss` makes a line from the number
    of dropped texts. It is written in their place, or as soon as writing works again. Without it they are
    dropped silently.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        describe_loss: Callable[[int], str] | None = None,
        max_pending: int = MAX_PENDING_BYTES,
    ) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.describe_loss = describe_loss
        self._max_pending = max_pending
        # Each item is the bytes to write with the number of dropped texts that they report, or an event to
        # set when it is reached. A signal handler or the garbage collector may interrupt a `write` and write
        # too, so both the queue and the lock are reentrant.
        self._queue: queue.SimpleQueue[tuple[bytes, int] | threading.Event] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._accepted_bytes = 0
        self._handled_bytes = 0
        self._dropped = 0
        self._is_torn = False  # only a part of the last text was written
        threading.Thread(target=self._run, name=f"writer of {descriptor}", daemon=True).start()

    def write(self, text: str, /) -> int:
        """Take `text`, to be written soon."""
        data = text.encode(errors="backslashreplace")
        with self._lock:
            pending = self._accepted_bytes - self._handled_bytes
            # After a loss, wait until half is free again, or every other line would report a loss.
            allowed = self._max_pending // 2 if self._dropped else self._max_pending
            if pending and pending + len(data) > allowed:
                self._dropped += 1
            else:
                self._tell_loss()
                self._accept(data, 0)
        return len(text)

    def drain(self, within_s: float) -> bool:
        """Wait, up to `within_s`, until everything is written or dropped; return whether it is."""
        reached = threading.Event()
        self._queue.put(reached)
        return reached.wait(within_s)

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        """Return the name of the encoding."""
        return "utf-8"

    def _tell_loss(self) -> None:
        """Queue the line about dropped texts, if there were any. Call it with the lock held."""
        lost, self._dropped = self._dropped, 0
        if lost and self.describe_loss is not None:
            self._accept(self.describe_loss(lost).encode(errors="backslashreplace"), lost)

    def _accept(self, data: bytes, tells_of: int) -> None:
        self._accepted_bytes += len(data)
        self._queue.put((data, tells_of))

    def _run(self) -> None:
        is_written = True
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
            else:
                data, tells_of = item
                is_written = self._write_all(data)
                self._handled_bytes += len(data)
                if not is_written:
                    with self._lock:
                        self._dropped += tells_of or 1
            if is_written and self._queue.empty():
                with self._lock:
                    self._tell_loss()

    def _write_all(self, data: bytes) -> bool:
        rest = memoryview(b"\n" + data if self._is_torn else data)
        whole = len(rest)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody else has made our end of it non-blocking
                with suppress(OSError):
                    select.select([], [self._descriptor], [])
            except OSError:
                self._is_torn = self._is_torn or len(rest) < whole
                return False
        self._is_torn = False
        return True


def open_missing_streams() -> None:
    """Open the null device in place of any standard stream that this process was started without.

    Otherwise the next file or socket would get the stream's number and everything that is printed to it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    # Python has no stream object for a missing descriptor.
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # a descriptor, for good
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def be_patient() -> None:
    """Make standard output and error patient for good. At exit, the process waits for them only a moment."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    sys.stdout, sys.stderr = PatientStream(1), PatientStream(2)
    atexit.register(say_last_words)


def say_last_words() -> None:
    """Wait, for a moment at most, until all output and log lines are written."""
    deadline = time.monotonic() + LAST_WORDS_S
    for stream in (sys.stderr, sys.stdout):
        if isinstance(stream, PatientStream):
            stream.drain(max(0.0, deadline - time.monotonic()))
