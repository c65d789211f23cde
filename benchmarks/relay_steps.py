"""The daemon's longest step while a client's message of 1 MB is relayed, and an answer of 1 MB.

`python -m benchmarks.relay_steps URL MASTER CLONES ROUNDS` runs the daemon in this process and the client in
another, and prints the longest step of each round, in milliseconds, as one line of JSON.
"""

import functools
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import attrs
import httpx
import structlog
import trio

from greenroom.web.commands.serve import open_daemon
from greenroom.web.settings import DaemonSettings

# Each line of its input is a round.
_CLIENT = """
import sys
from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    page = playwright.firefox.connect(sys.argv[1]).contexts[0].pages[0]
    text = "x" * (1 << 20)
    print("ready", flush=True)
    while sys.stdin.readline():
        assert len(page.evaluate("text => text", text)) == len(text)
        print("done", flush=True)
"""
_TIMEOUT_S = 60.0


@attrs.define(eq=False)
class LongestStep(trio.abc.Instrument):
    """Notes how long the longest step of a task took, in seconds, since `longest` was set to 0."""

    longest: float = 0
    _began: float = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  # the interface's
        """Begin a step."""
        self._began = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        """End it."""
        self.longest = max(self.longest, time.perf_counter() - self._began)


async def measure(settings: DaemonSettings, rounds: int) -> list[float]:
    """Return the longest step of each round, in milliseconds."""
    steps: list[float] = []
    instrument = LongestStep()
    async with (
        open_daemon(settings) as daemon,
        httpx.AsyncClient(base_url=daemon.url, timeout=_TIMEOUT_S) as http,
        trio.open_nursery() as nursery,
    ):
        location = (await http.post("/tiktok/session")).headers["location"]
        address = (await http.get(f"{location}/playwright")).json()["address"]
        command = [sys.executable, "-c", _CLIENT, address]
        run = functools.partial(
            trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=False
        )
        client: trio.Process = await nursery.start(run)
        stdin, stdout = client.stdin, client.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the client has no pipes")
        await stdout.receive_some()
        trio.lowlevel.add_instrument(instrument)
        for _ in range(rounds + 1):  # the first is a rehearsal
            instrument.longest = 0
            await stdin.send_all(b"\n")
            await stdout.receive_some()
            steps.append(instrument.longest * 1000)
        await stdin.aclose()
    return steps[1:]


def main() -> None:
    """Measure, and print the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    url, master, clones, rounds = sys.argv[1:]
    settings = DaemonSettings(
        bind="127.0.0.1:0",
        tiktok_url=url,
        user_data_master_dir=Path(master),
        clones_dir=Path(clones),
        warm_sessions=0,
    )
    print(json.dumps(trio.run(measure, settings, int(rounds))))


if __name__ == "__main__":
    main()
