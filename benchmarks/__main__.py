"""Measure everything and write the page: `python -m benchmarks`."""

import functools
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.alone import measure_alone
from benchmarks.clones import measure_clones
from benchmarks.figures import Growth, Report, Row, Sampling, Verdict
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.notes import NOTES
from benchmarks.peers import missing_peers
from benchmarks.relay import measure_relay
from benchmarks.report import cells, render_page
from benchmarks.sampling import measure_sampling
from benchmarks.sessions import measure_burst, measure_cold, measure_locked, measure_others, measure_warm
from benchmarks.stage import open_stage
from benchmarks.watching import measure_watching
from greenroom.actors.browser.engines import EngineChoice, find_engine

PARTS = ("sessions", "burst", "locked", "clones", "alone", "sampling", "relay", "watching")
PAGE = Path("docs/benchmarks.md")


@attrs.frozen(kw_only=True)
class Runs:
    """How often each thing is measured. `settle_s` is how long a session lives before it is measured."""

    sessions: int = 20
    settle_s: float = 1.0
    others: int = 10
    burst: int = 10
    locked: int = 1000
    clones: int = 20
    calls: int = 1000


QUICK = Runs(sessions=5, settle_s=0.5, others=2, burst=1, locked=200, clones=5, calls=300)


@click.command(context_settings={"show_default": True})
@click.option("--quick", is_flag=True, help="Fewer runs: under three minutes.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Measure one part; write no page.")
@click.option("--page", type=click.Path(path_type=Path), default=PAGE, help="Where to write the page.")
@click.option("--render", is_flag=True, help="Don't measure; write the page again from its last figures.")
def main(*, quick: bool, only: tuple[str, ...], page: Path, render: bool) -> None:
    """Measure Greenroom against what people would use without it.

    Exit code 1 if a bar is missed.
    """
    console = Console()
    if render:
        write(msgspec.json.decode(_figures(page).read_bytes(), type=Report), page)
        return
    runs = QUICK if quick else Runs()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # to clean up
    with console.status("Setting up ...") as status:
        say = status.update if console.is_terminal else functools.partial(click.echo, err=True)
        report = measure(quick=quick, runs=runs, parts=only or PARTS, say=say)
    table = Table("figure", "Greenroom", "baseline", "ratio", "bar", "", "runs")
    for row in report.rows:
        table.add_row(*map(escape, cells(row)))
    console.print(table)
    for name, why in report.skipped.items():
        console.print(f"skipped: {name}: {why}", markup=False)
    if not only:
        _figures(page).parent.mkdir(parents=True, exist_ok=True)
        _figures(page).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
        write(report, page)
        console.print(f"written: {page}", markup=False)
    sys.exit(any(row.verdict is Verdict.MISSED for row in report.rows))


def measure(*, quick: bool, runs: Runs, parts: tuple[str, ...], say: Callable[[str], None]) -> Report:
    """Measure these parts. All of them take three minutes if `quick`, otherwise most of an hour."""
    engine = find_engine(EngineChoice.AUTO)
    missing = missing_peers()
    report = Report(
        command=f"python -m benchmarks {shlex.join(sys.argv[1:])}".strip(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=describe_machine(Path(tempfile.gettempdir())),
        versions=describe_versions(engine),
        quick=quick,
        skipped=missing,
    )
    rows: list[Row] = []
    growth: list[Growth] = []
    sampling: list[Sampling] = []
    if "alone" in parts:
        alone, growth = measure_alone(quick=quick, say=say)
        rows += alone
    if "sampling" in parts:
        sampled, sampling = measure_sampling(quick=quick, say=say)
        rows += sampled
    if "clones" in parts:
        rows += measure_clones(runs.clones, say)
    if {"sessions", "burst", "locked", "relay", "watching"} & set(parts):
        say("setting up the practice site and a logged-in profile")
        with open_stage() as stage:
            if "sessions" in parts:
                cold = measure_cold(stage, runs.sessions, runs.settle_s, say)
                known = cold[0].baseline_samples if quick else ()
                rows += measure_warm(stage, runs.sessions, runs.settle_s, say, known) + cold
                rows += measure_others(stage, missing, runs.others, say)
            if "burst" in parts:
                rows += measure_burst(stage, runs.burst, runs.settle_s, say)
            if "locked" in parts:
                rows += measure_locked(stage, runs.locked, say)
            if "relay" in parts:
                rows += measure_relay(stage, runs.calls, say)
            if "watching" in parts:
                rows += measure_watching(stage, quick=quick, say=say)
    order = ("Sessions", "Profiles")
    rows.sort(key=lambda row: order.index(row.group) if row.group in order else len(order))
    return attrs.evolve(report, rows=tuple(rows), growth=tuple(growth), sampling=tuple(sampling))


def write(report: Report, page: Path) -> None:
    """Write the page and, if matplotlib is installed, a directory with its plots next to it."""
    try:
        from benchmarks.plots import draw  # noqa: PLC0415  # matplotlib is optional
    except ImportError:
        plots, why = {}, {"plots": "matplotlib is not installed (`pip install greenroom[bench]`)"}
        report = attrs.evolve(report, skipped=report.skipped | why)
    else:
        folder = page.with_suffix("")
        plots = {
            caption: f"{folder.name}/{name}"
            for caption, name in draw(folder, report.rows, report.growth, report.sampling).items()
        }
    page.write_text(render_page(report, NOTES, plots))


def _figures(page: Path) -> Path:
    """Return the path of the page's figures."""
    return page.with_suffix("") / "figures.json"


if __name__ == "__main__":
    os.environ.pop("GREENROOM_CONFIG", None)
    main()
