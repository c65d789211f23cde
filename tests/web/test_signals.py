"""Signals to a command: to stop, whose cleanup may never end, and to read something again."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import trio

from greenroom.web.signals import TWIN_S, open_stop_signals
from tests.patience import patience

PROGRAM = """
import trio
from greenroom.web.signals import open_stop_signals

async def main():
    with open_stop_signals() as signals:
        with trio.CancelScope(shield=True):  # as a cleanup on a disk that hangs
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                print("ready", flush=True)
                async for number in signals:
                    print(number.name, flush=True)

trio.run(main)
"""


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT], ids=lambda number: number.name
)
def test_third_signal_ends_a_process_that_does_not_end(number: signal.Signals) -> None:
    """Two signals ask. The third ends the process at once, with a log line and a shell's exit code."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            for _ in range(2):
                process.send_signal(number)
                assert process.stdout.readline() == f"{number.name}\n"
                time.sleep(2 * TWIN_S)
            process.send_signal(number)
            assert process.wait(patience(20)) == 128 + number
            assert "exiting without cleanup" in process.stdout.read()
        finally:
            process.kill()


async def test_signals_that_come_together_count_as_one() -> None:
    """A stop that a wrapper passes on too, or systemd's SIGHUP right after its SIGTERM, counts once."""
    with open_stop_signals() as signals:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
        assert await signals.receive() is signal.SIGTERM
        await trio.sleep(2 * TWIN_S)
        with pytest.raises(trio.WouldBlock):
            signals.receive_nowait()
        signal.raise_signal(signal.SIGINT)
        assert await signals.receive() is signal.SIGINT


RELOADING = """
import sys
import trio
from greenroom.web.signals import open_stop_signals

async def main():
    with open_stop_signals(lambda: print("reload", file=sys.stderr, flush=True)) as signals:
        print("ready", file=sys.stderr, flush=True)
        print((await signals.receive()).name, file=sys.stderr, flush=True)

trio.run(main)
"""


def test_hang_up_reloads_as_often_as_it_comes_and_then_a_stop_is_the_first() -> None:
    """It counts as no request to stop, of which the third ends a process."""
    with subprocess.Popen(
        [sys.executable, "-c", RELOADING], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == "ready\n"
            for _ in range(4):
                process.send_signal(signal.SIGHUP)
                assert process.stderr.readline() == "reload\n"
                time.sleep(2 * TWIN_S)
            process.send_signal(signal.SIGTERM)
            assert process.stderr.readline() == "SIGTERM\n"
            assert process.wait(patience(20)) == 0
        finally:
            process.kill()


async def test_reload_and_stop_right_after_each_other_both_count() -> None:
    """A reload is no twin of anything. After a stop, there is nothing to read again for."""
    reloads: list[None] = []
    with open_stop_signals(lambda: reloads.append(None)) as signals:
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        assert await signals.receive() is signal.SIGTERM
        signal.raise_signal(signal.SIGHUP)
        await trio.sleep(2 * TWIN_S)
        assert len(reloads) == 2
        with pytest.raises(trio.WouldBlock):
            signals.receive_nowait()


@pytest.mark.parametrize(
    ("act", "says"),
    [(lambda pid, _terminal: os.kill(pid, signal.SIGHUP), "reload\n"),
     (lambda _pid, terminal: os.close(terminal), "SIGHUP\n")],
    ids=["sent", "closed"],
)  # fmt: skip
def test_hang_up_stops_a_process_only_if_its_terminal_was_closed(
    act: Callable[[int, int], None], says: str
) -> None:
    """Nobody is left who could stop it then. From a terminal that is still there, SIGHUP is a request."""
    reader, writer = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(writer, 2)
        os.execv(sys.executable, [sys.executable, "-c", RELOADING])  # noqa: S606
    os.close(writer)
    with open(reader) as told:  # noqa: PTH123  # it is a descriptor
        try:
            assert told.readline() == "ready\n"
            act(pid, terminal)
            assert told.readline() == says
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            with contextlib.suppress(OSError):
                os.close(terminal)
