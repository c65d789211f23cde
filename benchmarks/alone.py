"""The supervisor alone, and how its costs grow with the number of sessions."""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgspec

from benchmarks.fakes import CALLERS, FakeRun
from benchmarks.figures import Bar, Growth, Row, percentile

GROUP = "The supervisor alone"
MOST = 10_000
FEW = 1_000
SIZES = (1, 100, FEW, 2_500, 5_000, 7_500, MOST)
_QUICK_SIZES = (100, FEW, MOST)
_RUN_S = 300.0
_KB = 1e3


def measure_alone(*, quick: bool, say: Callable[[str], None]) -> tuple[list[Row], list[Growth]]:
    """Measure up to `MOST` sessions on fake browsers. Each number of them runs in its own process."""
    runs_of: dict[int, list[FakeRun]] = {}
    for turn in range(1 if quick else 5):
        for size in _QUICK_SIZES if quick else SIZES:
            say(f"the supervisor alone, {size:,} sessions, run {turn + 1}")
            runs_of.setdefault(size, []).append(_run(size, idle_s=1 if quick else 6))
    return list(rows_of(runs_of)), [_growth(size, runs) for size, runs in runs_of.items()]


def rows_of(runs_of: dict[int, list[FakeRun]]) -> Iterator[Row]:
    """Yield the report's rows, from the runs with `MOST` and with `FEW` sessions."""
    most, few = runs_of[MOST], runs_of[FEW]
    yield _row(
        "alone-rate",
        f"creations a second, up to {MOST:,} sessions at once",
        "/s",
        Bar(limit=1500, at_least=True),
        [run.sessions / run.create_s for run in most],
    )
    yield Row(
        key="alone-wait",
        group=GROUP,
        title=f"a creation's time, {CALLERS} callers at once, p99 of each run",
        unit="ms",
        bar=Bar(limit=50),
        samples=tuple(percentile(run.create_ms, 99) for run in most),
    )
    yield _row("alone-memory", "memory per session", "KB", Bar(limit=40), [_kb_each(run) for run in most])
    yield _row("alone-end", f"end of all {MOST:,}", "s", Bar(limit=5), [run.end_s for run in most])
    yield _row("alone-left", "sessions left after that", "", Bar(limit=0), [run.left for run in most])
    of_few = f"that of {FEW:,}"
    yield Row(
        key="growth-cpu",
        group=GROUP,
        title=f"CPU time per session, created to ended, of {MOST:,}",
        unit="ms",
        bar=Bar(limit=1.25),
        samples=tuple(_cpu_ms_each(run) for run in most),
        baseline=of_few,
        baseline_samples=tuple(_cpu_ms_each(run) for run in few),
    )
    yield Row(
        key="growth-memory",
        group=GROUP,
        title=f"memory per session, of {MOST:,}",
        unit="KB",
        bar=Bar(limit=1.25),
        samples=tuple(_kb_each(run) for run in most),
        baseline=of_few,
        baseline_samples=tuple(_kb_each(run) for run in few),
    )


def _row(key: str, title: str, unit: str, bar: Bar, samples: list[float]) -> Row:
    return Row(key=key, group=GROUP, title=title, unit=unit, bar=bar, samples=tuple(samples))


def _kb_each(run: FakeRun) -> float:
    return (run.bytes_alive - run.bytes_before) / run.sessions / _KB


def _cpu_ms_each(run: FakeRun) -> float:
    return (run.create_cpu_s + run.end_cpu_s) / run.sessions * 1000


def _growth(size: int, runs: list[FakeRun]) -> Growth:
    return Growth(
        sessions=size,
        cpu_s=statistics.median(run.create_cpu_s + run.end_cpu_s for run in runs),
        memory_mb=statistics.median(run.bytes_alive for run in runs) / 1e6,
        idle_cpu_percent=statistics.median(run.idle_cpu_s / run.idle_s for run in runs) * 100,
    )


def _run(size: int, idle_s: float) -> FakeRun:
    command = [sys.executable, "-m", "benchmarks.fakes", str(size), "--idle", str(idle_s)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=_RUN_S)
    return msgspec.json.decode(done.stdout, type=FakeRun)
