"""The signals that ask a command to stop, or a daemon to read its tokens again."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

import structlog
import trio

from greenroom.web.streams import say_last_words

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals that mean nothing here but would kill by default: a log rotation may send one to every daemon."""

PATIENCE: Final = 3
TWIN_S: Final = 0.05
"""Signals this close together count once. If a whole process group is stopped, `timeout`, `sudo` and
`runuser` pass the signal on as well; systemd's SendSIGHUP sends two; nobody presses Ctrl-C this fast."""
EXIT_SIGNALLED: Final = 128  # plus the signal's number, as shells have it

_log = structlog.get_logger("greenroom.signals")


@contextlib.contextmanager
def open_stop_signals(
    reload: Callable[[], None] | None = None,
) -> Iterator[trio.MemoryReceiveChannel[signal.Signals]]:
    """Yield a channel of the signals that ask this process to stop, for the length of the block.

    The third signal ends the process at once, without any cleanup. Signals within `TWIN_S` of another count
    as one. If SIGHUP is ignored, as under `nohup`, it stays ignored. With `reload`, SIGHUP calls that in the
    Trio thread and stops nothing, unless it says that the process's terminal was closed. Enter this in a Trio
    task of the main thread.
    """
    token = trio.lowlevel.current_trio_token()
    send, receive = trio.open_memory_channel[signal.Signals](math.inf)
    count, last = 0, -math.inf
    terminals = [number for number in (0, 1, 2) if _is_terminal(number)]

    def heed(number: int, _frame: FrameType | None) -> None:
        nonlocal count, last
        if number in IGNORED:
            return
        if number == signal.SIGHUP and reload is not None and not _have_gone(terminals):
            if count == 0:  # after a stop, as when systemd sends both, there is nothing to read again for
                with contextlib.suppress(trio.RunFinishedError):
                    token.run_sync_soon(reload)
            return
        now = time.monotonic()
        if now - last < TWIN_S:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(_tell_twin, signal.Signals(number))
            return
        count, last = count + 1, now
        if count >= PATIENCE:
            _give_up(number)
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(_pass_on, send, signal.Signals(number))

    before = {number: signal.getsignal(number) for number in (*STOPPING, *IGNORED)}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    with send, receive:
        try:
            for number in before:
                signal.signal(number, heed)
            yield receive
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _have_gone(terminals: list[int]) -> bool:
    """Return whether the process had a terminal, and it was closed: it is still open here, but fails."""
    return bool(terminals) and not any(map(_is_terminal, terminals))


def _pass_on(send: trio.MemorySendChannel[signal.Signals], number: signal.Signals) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the block has been left
        send.send_nowait(number)


def _tell_twin(number: signal.Signals) -> None:
    _log.info("ignored: it repeats the previous signal", signal=number.name)


def _give_up(number: int) -> None:
    _log.warning(
        "exiting without cleanup; the next daemon on the same clones_dir will clean up",
        signal=signal.Signals(number).name,
    )
    say_last_words()
    os._exit(EXIT_SIGNALLED + number)
