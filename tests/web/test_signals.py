"""Signals to a command whose cleanup never ends."""

import signal
import subprocess
import sys
import time

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
