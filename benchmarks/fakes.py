"""The supervisor alone: real actors, messages and deadlines, but fake browsers and clones.

`python -m benchmarks.fakes N` measures N sessions at once in this process and prints one line of JSON.
"""

import contextlib
import gc
import logging
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import structlog
import trio

from greenroom import Supervisor, SupervisorConfig, open_supervisor
from greenroom.actors.resources import collect_rarely
from greenroom.actors.testing import FakeMachine

CALLERS = 32
"""How many callers ask at the same time. They are enough to keep the supervisor busy."""

_NEVER_S = 86_400.0


class FakeRun(msgspec.Struct, frozen=True, kw_only=True):
    """What N sessions cost. Memory is the resident set in bytes, after a garbage collection.

    `create_ms` has one wait for each session: from the caller's request until the session was live.
    `idle_cpu_s` is the CPU time used in `idle_s` seconds while all sessions lived and no request came.
    """

    sessions: int
    create_s: float
    create_cpu_s: float
    create_ms: list[float]
    bytes_before: int
    bytes_alive: int
    idle_s: float
    idle_cpu_s: float
    end_s: float
    end_cpu_s: float
    left: int


class Stopwatch:
    """Wall-clock and CPU seconds of a block."""

    wall_s = 0.0
    cpu_s = 0.0


@contextlib.contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Time the block."""
    watch = Stopwatch()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield watch
    finally:
        watch.wall_s, watch.cpu_s = time.perf_counter() - wall, time.process_time() - cpu


async def measure(sessions: int, idle_s: float) -> FakeRun:
    """Create that many sessions, let them live for `idle_s`, then end them all."""
    config = SupervisorConfig(max_sessions=sessions, max_session_duration=_NEVER_S, warm_sessions=0)
    machine = FakeMachine()
    before = resident_bytes()
    async with open_supervisor(config, machine=machine) as supervisor:
        with stopwatch() as creating:
            create_ms = await _create(supervisor, sessions)
        if len(machine.browsers) != sessions:
            raise RuntimeError(f"{len(machine.browsers)} of {sessions} sessions live")
        alive = resident_bytes()
        with stopwatch() as idling:
            await trio.sleep(idle_s)
        with stopwatch() as ending:
            await supervisor.stop()
    return FakeRun(
        sessions=sessions,
        create_s=creating.wall_s,
        create_cpu_s=creating.cpu_s,
        create_ms=create_ms,
        bytes_before=before,
        bytes_alive=alive,
        idle_s=idling.wall_s,
        idle_cpu_s=idling.cpu_s,
        end_s=ending.wall_s,
        end_cpu_s=ending.cpu_s,
        left=len(machine.browsers) + len(machine.clones),
    )


async def _create(supervisor: Supervisor, sessions: int) -> list[float]:
    waits_ms: list[float] = []
    turns = iter(range(sessions))

    async def ask() -> None:
        for _ in turns:
            asked = time.perf_counter()
            await supervisor.create_session()
            waits_ms.append((time.perf_counter() - asked) * 1000)

    async with trio.open_nursery() as nursery:
        for _ in range(min(CALLERS, sessions)):
            nursery.start_soon(ask)
    return waits_ms


def resident_bytes() -> int:
    """Collect garbage, then return this process's resident set."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@click.command()
@click.argument("sessions", type=click.IntRange(1, 10_000))
@click.option(
    "--idle", "idle_s", type=float, default=5.0, show_default=True, help="Seconds to let them live."
)
def main(sessions: int, idle_s: float) -> None:
    """Measure that many sessions at once in this process. It collects garbage as the daemon does."""
    collect_rarely()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.stdout.buffer.write(msgspec.json.encode(trio.run(measure, sessions, idle_s)) + b"\n")


if __name__ == "__main__":
    main()
