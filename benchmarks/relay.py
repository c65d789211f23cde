"""What the relay costs a client's own Playwright, next to a direct connection, and the daemon's loop."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from playwright.sync_api import sync_playwright

from benchmarks.figures import Bar, Row, Statistic
from benchmarks.stage import Stage

GROUP = "The relay"
_RUN_S = 300.0
_REHEARSALS = 50


def measure_relay(stage: Stage, calls: int, say: Callable[[str], None]) -> list[Row]:
    """Measure so many calls on each side, in turns, and the daemon's longest steps."""
    say("calls through the relay")
    ours: list[float] = []
    theirs: list[float] = []
    with stage.open_daemon(warm=0) as daemon, stage.open_peer() as peer, sync_playwright() as playwright:
        _took, location = daemon.create()
        address = daemon.http.get(f"{location}/playwright").json()["address"]
        sides = []
        for endpoint, samples in ((address, ours), (peer.bind(), theirs)):
            page = playwright.firefox.connect(endpoint).contexts[0].pages[0]
            page.goto(stage.url)
            sides.append((page, samples))
        for turn in range(_REHEARSALS + calls):
            for page, samples in sides:
                started = time.perf_counter()
                page.title()
                if turn >= _REHEARSALS:
                    samples.append((time.perf_counter() - started) * 1000)
        daemon.end(location)
        peer.end()
    say("the daemon's loop beside large messages")
    return [
        Row(
            key="relay-call",
            group=GROUP,
            title="`page.title()` of an attached client",
            unit="ms",
            bar=Bar(limit=1.3),
            samples=tuple(ours),
            baseline="a direct connection",
            baseline_samples=tuple(theirs),
        ),
        Row(
            key="relay-step",
            group=GROUP,
            title="the longest step of the daemon's loop while 1 MB goes both ways",
            unit="ms",
            bar=Bar(limit=10),
            samples=tuple(_steps(stage, calls // 50)),
            statistic=Statistic.MAX,
        ),
    ]


def _steps(stage: Stage, rounds: int) -> list[float]:
    clones = tempfile.mkdtemp(prefix="greenroom-", dir=stage.folder)
    command = [sys.executable, "-m", "benchmarks.relay_steps", stage.url, str(stage.master), clones]
    done = subprocess.run([*command, str(rounds)], check=True, stdout=subprocess.PIPE, timeout=_RUN_S)
    steps: list[float] = json.loads(done.stdout.splitlines()[-1])
    return steps
