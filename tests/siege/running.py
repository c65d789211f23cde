"""Runs a siege: the daemon, those who besiege it, and a client that measures, in a process each."""

import functools
import subprocess
import sys
import time
from typing import Final
from urllib.parse import urlsplit

import attrs
import httpx
import msgspec
import psutil
import trio

from tests.patience import patience
from tests.siege.plan import Plan
from tests.web.http.abuse import measure_for

# A daemon that has served thousands keeps some memory: code that was loaded, and room in its heap.
ROOM_BYTES: Final = 64 << 20
_QUIET_S: Final = patience(30)


@attrs.frozen(kw_only=True)
class Outcome:
    """How long `/health` took during the siege, and what the daemon had before and after it."""

    usual_s: float
    slowest_s: float
    descriptors: tuple[int, int]
    memory: tuple[int, int]
    sessions: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing stays of the siege."""
        return (
            self.descriptors[1] <= self.descriptors[0]
            and self.memory[1] <= self.memory[0] + ROOM_BYTES
            and self.sessions == 0
        )

    def text(self) -> str:
        """Return the outcome for people."""
        megabytes = [round(size / 1e6) for size in self.memory]
        return (
            f"/health took {self.usual_s * 1000:.0f} ms in 99 of 100 cases, "
            f"{self.slowest_s * 1000:.0f} ms at most\n"
            f"descriptors: {self.descriptors[0]} before, {self.descriptors[1]} after\n"
            f"memory: {megabytes[0]} MB before, {megabytes[1]} MB after\n"
            f"sessions that stay: {self.sessions}"
        )


def run(plan: Plan) -> Outcome:
    """Carry out a plan. Raises `RuntimeError` if the besiegers fail."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.siege.daemon"], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        try:
            url = daemon.stdout.readline().strip()
            process = psutil.Process(daemon.pid)
            _health(url)
            before = process.num_fds(), process.memory_info().rss
            taken = _besiege(url, plan)
            after = _settled(process, before[0])
            sessions = httpx.get(f"{url}/tiktok/session", trust_env=False).json()["sessions"]
        finally:
            daemon.kill()
    return Outcome(
        usual_s=taken[int(len(taken) * 0.99)],
        slowest_s=taken[-1],
        descriptors=(before[0], after[0]),
        memory=(before[1], after[1]),
        sessions=len(sessions),
    )


def _besiege(url: str, plan: Plan) -> list[float]:
    """Return the times that `/health` took while all were there, shortest first."""
    parts = urlsplit(url)
    assert parts.port is not None
    command = [sys.executable, "-m", "tests.siege.besieging", url, msgspec.json.encode(plan).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as besiegers:
        assert besiegers.stdout is not None
        try:
            if besiegers.stdout.readline() != "ready\n":
                raise RuntimeError("those who besiege have failed")
            address = (str(parts.hostname), parts.port)
            taken = trio.run(functools.partial(measure_for, address, seconds=plan.seconds))
            if besiegers.wait(patience(60)) != 0:
                raise RuntimeError("those who besiege have failed")
        finally:
            besiegers.kill()
    return taken


def _settled(process: psutil.Process, descriptors: int) -> tuple[int, int]:
    """Return the daemon's descriptors and memory once they are back, or after a time."""
    until = time.monotonic() + _QUIET_S
    while process.num_fds() > descriptors and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(2)  # memory is given back each second
    return process.num_fds(), process.memory_info().rss


def _health(url: str) -> None:
    httpx.get(f"{url}/health", trust_env=False).raise_for_status()
