"""The benchmarks' figures, verdicts and page."""

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks import sampling
from benchmarks.alone import FEW, MOST, rows_of
from benchmarks.fakes import FakeRun, measure
from benchmarks.figures import Bar, Growth, Report, Row, Sampling, Statistic, Verdict, percentile, show
from benchmarks.notes import NOTES
from benchmarks.processes import running
from benchmarks.report import render_page
from tests.patience import patience

ROW = Row(
    key="cold",
    group="Sessions",
    title="POST to 200",
    unit="s",
    bar=Bar(limit=0.75),
    samples=(3.0, 1.0, 2.0),
    baseline="bare Scrapling",
    baseline_samples=(4.0, 4.0, 5.0),
)
REPORT = Report(
    command="python -m benchmarks",
    date="2026-11-22",
    machine="2 cores",
    versions="Python 3.11",
    quick=False,
    rows=(ROW,),
)


def row(**changes: Any) -> Row:
    """Return the example row with changes."""
    return attrs.evolve(ROW, **changes)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (50, 2.5), (99, 3.97), (100, 4)], ids=["least", "p50", "p99", "most"]
)
def test_percentile_lies_between_its_neighbours(percent: float, expected: float) -> None:
    """A percentile is interpolated between the two samples around it, whatever their order."""
    assert percentile([4, 1, 3, 2], percent) == pytest.approx(expected)


def test_percentile_of_one_sample_is_that_sample() -> None:
    """A single sample is every percentile."""
    assert percentile([7], 99) == 7


def test_percentile_of_nothing_is_refused() -> None:
    """There is no figure without samples."""
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Verdict.MET),
        ({"samples": (3.0,)}, Verdict.MET),
        ({"samples": (3.1,)}, Verdict.MISSED),
        ({"samples": ()}, Verdict.NOT_MEASURED),
        ({"baseline_samples": ()}, Verdict.NOT_MEASURED),
        ({"bar": None}, Verdict.NO_BAR),
        ({"baseline": None, "baseline_samples": ()}, Verdict.MISSED),
        ({"baseline": None, "samples": (0.7,)}, Verdict.MET),
        ({"baseline": None, "bar": Bar(limit=1500, at_least=True), "samples": (1500.0,)}, Verdict.MET),
        ({"baseline": None, "bar": Bar(limit=1500, at_least=True), "samples": (1499.0,)}, Verdict.MISSED),
        ({"statistic": Statistic.MAX, "samples": (1.0, 4.0)}, Verdict.MISSED),
    ],
    ids=[
        "met",
        "exactly",
        "missed",
        "no samples",
        "no baseline's samples",
        "no bar",
        "absolute, missed",
        "absolute, met",
        "at least, met",
        "at least, missed",
        "by the worst sample",
    ],
)
def test_verdict_follows_the_bar(changes: dict[str, Any], expected: Verdict) -> None:
    """The bar applies to the ratio if there is a baseline, otherwise to the figure."""
    assert row(**changes).verdict is expected


def test_ratio_is_that_of_the_medians() -> None:
    """The ratio is one side's median divided by the other's."""
    assert ROW.ratio == 0.5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 s"),
        (10, "10 s"),
        (0.01234, "0.0123 s"),
        (1.234, "1.23 s"),
        (123.4, "123 s"),
        (12_345.6, "12,346 s"),
        (None, ""),
    ],
)
def test_figures_are_shown_with_three_digits(value: float | None, shown: str) -> None:
    """A figure is shown with three significant digits."""
    assert show(value, "s") == shown


def test_page_shows_a_row_met() -> None:
    """A row has Greenroom's figure, the baseline's, the ratio, the bar, the verdict and the runs."""
    page = render_page(REPORT, {}, {})
    assert (
        "| POST to 200 | 2 s | 4 s (bare Scrapling) | 0.500 | at most 0.75 times bare Scrapling | met | 3 |"
    ) in page.splitlines()


def test_page_shows_a_missed_bar_with_its_figure_and_its_note() -> None:
    """A missed bar is not hidden."""
    page = render_page(attrs.evolve(REPORT, rows=(row(samples=(4.0,)),)), {"cold": "\nWhat was tried.\n"}, {})
    assert "| 4 s | 4 s (bare Scrapling) | 1 |" in page
    assert "**missed**" in page
    assert "*POST to 200*: What was tried." in page


def test_page_says_why_a_row_is_not_measured() -> None:
    """A row without samples stays in the table, with the reason."""
    missing = row(samples=(), baseline_samples=(), why_not="this daemon keeps no warm sessions")
    page = render_page(attrs.evolve(REPORT, rows=(missing,)), {}, {})
    assert "not measured" in page
    assert "*POST to 200*: this daemon keeps no warm sessions." in page


def test_page_names_skipped_baselines() -> None:
    """A baseline that is not installed is named, with the reason."""
    page = render_page(
        attrs.evolve(REPORT, skipped={"Selenium": "not installed: `pip install selenium`"}), {}, {}
    )
    assert "| Selenium | not installed: `pip install selenium` |" in page


def test_page_names_machine_versions_and_command() -> None:
    """A reader can see where the figures come from and how to reproduce them."""
    page = render_page(REPORT, {}, {"The bars": "benchmarks/ratios.svg"})
    for part in ("2 cores", "Python 3.11", "`python -m benchmarks`", "2026-11-22"):
        assert part in page
    assert "![The bars](benchmarks/ratios.svg)" in page


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_plots_are_the_same_bytes_for_the_same_figures(tmp_path: Path) -> None:
    """A plot changes only if its figures do."""
    from benchmarks.plots import draw  # noqa: PLC0415  # matplotlib is optional

    growth = [
        Growth(sessions=n, cpu_s=n / 1e3, memory_mb=40 + n / 30, idle_cpu_percent=n / 1e3) for n in (1, 10)
    ]
    sampled = [Sampling(sessions=n, cpu_percent=n, each_cpu_percent=n * n, end_cpu_s=n) for n in (1, 10)]
    drawn = [draw(tmp_path / name, [ROW], growth, sampled) for name in ("a", "b")]
    assert sorted(drawn[0].values()) == ["growth.svg", "ratios.svg", "sampling.svg", "seconds.svg"]
    for name in drawn[0].values():
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first == second
        assert b"<dc:date>" not in first


async def test_fakes_are_counted_and_ended() -> None:
    """The measurement of the supervisor alone creates as many sessions as it should and leaves none."""
    run = await measure(5, 0)
    assert (run.sessions, len(run.create_ms), run.left) == (5, 5, 0)


def test_rows_of_the_supervisor_alone_are_per_session() -> None:
    """Memory and CPU time are divided by the number of sessions."""
    runs = {size: [_fake_run(size)] for size in (FEW, MOST)}
    rows = {found.key: found for found in rows_of(runs)}
    assert rows["alone-rate"].value == 2000
    assert rows["alone-memory"].value == 30
    assert rows["growth-cpu"].value == pytest.approx(0.9)
    assert {rows[key].ratio for key in ("growth-cpu", "growth-memory")} == {1}


def _fake_run(sessions: int) -> FakeRun:
    return FakeRun(
        sessions=sessions,
        create_s=sessions / 2000,
        create_cpu_s=sessions / 2000,
        create_ms=[10.0] * sessions,
        bytes_before=40_000_000,
        bytes_alive=40_000_000 + 30_000 * sessions,
        idle_s=1,
        idle_cpu_s=0,
        end_s=sessions / 2500,
        end_cpu_s=sessions / 2500,
        left=0,
    )


async def test_sampled_processes_are_counted_and_ended() -> None:
    """The sampled sessions have the stated number of processes, and none afterwards."""
    run = await sampling.measure(1, 1)
    assert (run.sessions, run.left) == (1, 0)
    assert run.cpu_s > 0


def test_rows_of_sampling_compare_few_with_many() -> None:
    """If costs grow linearly, the cost per session stays the same."""
    runs = {
        size: [
            sampling.SampledRun(
                sessions=size, for_s=10, cpu_s=size / 10, each_cpu_s=size / 5, end_cpu_s=size / 100, left=0
            )
        ]
        for size in (sampling.FEW, sampling.MOST)
    }
    rows = {found.key: found for found in sampling.rows_of(runs)}
    assert rows["sampling"].value == sampling.MOST
    assert rows["sampling"].ratio == 0.5
    assert {rows[key].ratio for key in ("sampling-growth", "ending-growth")} == {1}


def test_notes_belong_to_rows() -> None:
    """Every note belongs to a row that is measured."""
    measured = "".join(path.read_text() for path in Path("benchmarks").glob("*.py") if path.stem != "notes")
    assert [key for key in NOTES if f'"{key}"' not in measured] == []


def test_program_is_ended_with_all_that_it_started() -> None:
    """Leaving the block ends the program and everything that it started."""
    code = (
        "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)"
    )
    with running([sys.executable, "-c", f"{code}; input()"]) as program:
        child = int(program.read_line())
        deadline = time.monotonic() + patience(10)
        while not (started := program.started()) and time.monotonic() < deadline:
            pass  # Popen returns once the child execs; the kernel shows its environment a little later
        assert started == [child]
        assert program.started_pss() > 0
    assert program.started() == []
    assert program.process.returncode is not None


def test_program_that_ends_early_is_reported_with_its_errors() -> None:
    """A program that prints nothing more has ended. Its stderr says why."""
    with (
        running([sys.executable, "-c", "import sys; sys.exit('no browser')"]) as program,
        pytest.raises(RuntimeError, match="no browser"),
    ):
        program.read_line()
