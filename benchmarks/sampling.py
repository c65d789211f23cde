"""What it costs to sample sessions' resource use, and to end them, as their number grows. Real processes.

`python -m benchmarks.sampling N` measures N sessions made of sleeping processes and prints one line of JSON.
"""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

import click
import msgspec
import trio

from benchmarks.fakes import stopwatch
from benchmarks.figures import Bar, Row, Sampling
from greenroom.actors.machine.sampler import Sampler
from greenroom.actors.owner import MARKER, OWNER
from greenroom.actors.session.sampling import SAMPLE_S

GROUP = "Sampling"
PROCESSES = 200
"""How many processes a session has: ten times those of a browser."""

FEW, MOST = 4, 16
SIZES = (1, FEW, 8, MOST)
_EACH = "a scan a session"
_RUN_S = 300.0


class SampledRun(msgspec.Struct, frozen=True, kw_only=True):
    """What N sessions cost.

    `cpu_s` is the CPU time used in `for_s` seconds by sampling each session every 5 s with one sampler for
    all. `each_cpu_s` is the same with one sampler for each session, which scans for it alone. `end_cpu_s` is
    the CPU time of ending all sessions at once, and `left` counts the processes that were left.
    """

    sessions: int
    for_s: float
    cpu_s: float
    each_cpu_s: float
    end_cpu_s: float
    left: int


def measure_sampling(*, quick: bool, say: Callable[[str], None]) -> tuple[list[Row], list[Sampling]]:
    """Measure up to `MOST` sessions. Each number of them runs in its own process."""
    runs_of: dict[int, list[SampledRun]] = {}
    for turn in range(1 if quick else 3):
        for size in (FEW, MOST) if quick else SIZES:
            say(f"sampling {size} sessions of {PROCESSES} processes, run {turn + 1}")
            runs_of.setdefault(size, []).append(_run(size, times=2 if quick else 4))
    return list(rows_of(runs_of)), [_median(size, runs) for size, runs in sorted(runs_of.items())]


def rows_of(runs_of: dict[int, list[SampledRun]]) -> Iterator[Row]:
    """Yield the report's rows, from the runs with `MOST` and with `FEW` sessions."""
    most, few = runs_of[MOST], runs_of[FEW]
    yield Row(
        key="sampling",
        group=GROUP,
        title=f"CPU of sampling {MOST} sessions of {PROCESSES} processes, of a core",
        unit="%",
        bar=Bar(limit=0.6),
        samples=tuple(_percent(run.cpu_s, run) for run in most),
        baseline=_EACH,
        baseline_samples=tuple(_percent(run.each_cpu_s, run) for run in most),
    )
    for key, title, unit, per_session in (
        ("sampling-growth", f"the same per session, of {MOST}", "%", _sampling_percent),
        ("ending-growth", f"CPU time per session of ending {MOST} at once", "ms", _ending_ms),
    ):
        yield Row(
            key=key,
            group=GROUP,
            title=title,
            unit=unit,
            bar=Bar(limit=1.25),
            samples=tuple(map(per_session, most)),
            baseline=f"that of {FEW}",
            baseline_samples=tuple(map(per_session, few)),
        )
    yield Row(
        key="ending-left",
        group=GROUP,
        title="processes left after that",
        unit="",
        bar=Bar(limit=0),
        samples=tuple(run.left for run in most),
    )


def _percent(cpu_s: float, run: SampledRun) -> float:
    return cpu_s / run.for_s * 100


def _sampling_percent(run: SampledRun) -> float:
    return _percent(run.cpu_s, run) / run.sessions


def _ending_ms(run: SampledRun) -> float:
    return run.end_cpu_s / run.sessions * 1000


def _median(size: int, runs: list[SampledRun]) -> Sampling:
    return Sampling(
        sessions=size,
        cpu_percent=statistics.median(_percent(run.cpu_s, run) for run in runs),
        each_cpu_percent=statistics.median(_percent(run.each_cpu_s, run) for run in runs),
        end_cpu_s=statistics.median(run.end_cpu_s for run in runs),
    )


def _run(size: int, times: int) -> SampledRun:
    command = [sys.executable, "-m", "benchmarks.sampling", str(size), "--times", str(times)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=_RUN_S)
    return msgspec.json.decode(done.stdout, type=SampledRun)


async def measure(sessions: int, times: int) -> SampledRun:
    """Sample that many sessions, each `times` times and in both ways, then end all of them at once."""
    sampler = Sampler()
    with _sleeping(sessions) as markers:
        if (count := _count(await sampler.look(), markers)) != sessions * PROCESSES:
            raise RuntimeError(f"{count} processes are seen")
        with stopwatch() as sampling:
            await _sample([(sampler, marker) for marker in markers], times)
        with stopwatch() as sampling_each:
            await _sample([(Sampler(), marker) for marker in markers], times)
        with stopwatch() as ending:
            async with trio.open_nursery() as nursery:
                for marker in markers:
                    nursery.start_soon(sampler.end, marker)
        left = _count(await sampler.look(), markers)
    return SampledRun(
        sessions=sessions,
        for_s=times * SAMPLE_S,
        cpu_s=sampling.cpu_s,
        each_cpu_s=sampling_each.cpu_s,
        end_cpu_s=ending.cpu_s,
        left=left,
    )


def _count(found: Mapping[str, Sequence[int]], markers: list[str]) -> int:
    return sum(len(found.get(marker, ())) for marker in markers)


async def _sample(sessions: list[tuple[Sampler, str]], times: int) -> None:
    """Sample each session every 5 s, as its actor does. Their starts are spread over the first 5 s."""

    async def live(sampler: Sampler, marker: str, begins_s: float) -> None:
        await trio.sleep(begins_s)
        await sampler.measure(marker, [])
        for _ in range(times - 1):
            await trio.sleep(SAMPLE_S)
            await sampler.measure(marker, [])

    async with trio.open_nursery() as nursery:
        for number, (sampler, marker) in enumerate(sessions):
            nursery.start_soon(live, sampler, marker, number / len(sessions) * SAMPLE_S)


@contextlib.contextmanager
def _sleeping(sessions: int) -> Iterator[list[str]]:
    """Run the sessions' processes for the length of the block; yield the sessions' markers."""
    markers = [f"{OWNER}.{number}" for number in range(sessions)]
    pids: list[int] = []
    try:
        for marker in markers:
            environ = {**os.environ, MARKER: marker}
            pids += [os.posix_spawnp("sleep", ["sleep", "600"], environ) for _ in range(PROCESSES)]
        yield markers
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@click.command()
@click.argument("sessions", type=click.IntRange(1, 64))
@click.option(
    "--times", type=click.IntRange(1), default=3, show_default=True, help="How often to sample each."
)
def main(sessions: int, times: int) -> None:
    """Measure that many sessions at once in this process."""
    sys.stdout.buffer.write(msgspec.json.encode(trio.run(measure, sessions, times)) + b"\n")


if __name__ == "__main__":
    main()
