"""The plots: small SVGs. The same figures always give the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.figures import Growth, Row, Sampling, Verdict

_OURS, _THEIRS, _BAR, _MISSED = "#1b7f5c", "#9aa3ad", "#c2410c", "#d9a441"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "greenroom",
    "svg.fonttype": "none",  # text stays text: smaller, and readable by machines
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "path.simplify": True,
}


def draw(
    folder: Path, rows: Sequence[Row], growth: Sequence[Growth], sampling: Sequence[Sampling] = ()
) -> dict[str, str]:
    """Write a plot for each kind of figure that is there; return their file names by caption."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, str] = {}
    with mpl.rc_context(_STYLE):
        ratios = [row for row in rows if row.ratio is not None and row.bar is not None]
        timed = [row for row in rows if row.baseline and row.unit == "s" and row.samples]
        if ratios:
            _save(_draw_ratios(ratios), folder / "ratios.svg")
            plots["Greenroom's figures in units of the baselines', and the bars"] = "ratios.svg"
        if timed:
            _save(_draw_samples(timed), folder / "seconds.svg")
            plots["Every run's seconds: Greenroom and the baselines"] = "seconds.svg"
        if len(growth) > 1:
            _save(_draw_growth(growth), folder / "growth.svg")
            plots["The supervisor's costs by the number of sessions at once"] = "growth.svg"
        if len(sampling) > 1:
            _save(_draw_sampling(sampling), folder / "sampling.svg")
            plots["What it costs to sample and end sessions of 200 processes, by their number"] = (
                "sampling.svg"
            )
    return plots


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})


def _new(height: float, columns: int = 1) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(8.5, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _draw_ratios(rows: Sequence[Row]) -> Figure:
    figure, (axes,) = _new(0.6 + 0.5 * len(rows))
    for place, row in enumerate(rows):
        ratio, bar = row.ratio, row.bar
        if ratio is None or bar is None:
            continue
        colour = _OURS if row.verdict is Verdict.MET else _MISSED
        axes.barh(place, ratio, height=0.55, color=colour)
        axes.plot([bar.limit] * 2, [place - 0.4, place + 0.4], color=_BAR, linewidth=2.5)
        # Keep the number clear of the bar's line.
        left = bar.limit if ratio < bar.limit < ratio + 0.1 else ratio
        axes.annotate(f"{ratio:.2f}", (left, place), xytext=(4, 0), textcoords="offset points", va="center")
    axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
    labels = [f"{row.title}\nbeside {(row.baseline or '').replace('`', '')}" for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("times the baseline: less is better (green: bar met; amber: missed; red line: the bar)")
    return figure


def _draw_samples(rows: Sequence[Row]) -> Figure:
    figure, (axes,) = _new(0.8 + 0.6 * len(rows))
    for place, row in enumerate(rows):
        sides = ((row.samples, _OURS, -0.15, "Greenroom"), (row.baseline_samples, _THEIRS, 0.15, "baseline"))
        for samples, colour, offset, label in sides:
            axes.plot(
                samples,
                [place + offset] * len(samples),
                "o",
                color=colour,
                alpha=0.6,
                markersize=5,
                markeredgewidth=0,
                label=label if place == 0 else None,
            )
        if row.bar is not None and row.baseline_value is not None:
            limit = row.bar.limit * row.baseline_value
            axes.plot(
                [limit] * 2, [place - 0.4, place + 0.4], color=_BAR, label="bar" if place == 0 else None
            )
    labels = [f"{row.title}\nbeside {(row.baseline or '').replace('`', '')}" for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("seconds, each run a dot")
    axes.grid(axis="x", color="#e5e7eb")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    return figure


def _draw_growth(growth: Sequence[Growth]) -> Figure:
    figure, panels = _new(2.9, columns=3)
    sizes = [point.sessions for point in growth]
    first, last = growth[0], growth[-1]
    series = (
        ("CPU s to create and end all", [point.cpu_s for point in growth], first.cpu_s, last.cpu_s),
        ("memory of the process, MB", [point.memory_mb for point in growth], first.memory_mb, last.memory_mb),
        (
            "CPU while all live, % of a core",
            [point.idle_cpu_percent for point in growth],
            first.idle_cpu_percent,
            last.idle_cpu_percent,
        ),
    )
    for axes, (title, values, start, end) in zip(panels, series, strict=True):
        axes.plot([first.sessions, last.sessions], [start, end], color=_BAR, linewidth=1, linestyle="--")
        axes.plot(sizes, values, "o-", color=_OURS, markersize=4)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("sessions at once (dashed: linear)")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params(axis="x", nbins=4)
    return figure


def _draw_sampling(sampling: Sequence[Sampling]) -> Figure:
    figure, (cpu, end) = _new(2.9, columns=2)
    sizes = [point.sessions for point in sampling]
    cpu.plot(
        sizes, [point.each_cpu_percent for point in sampling], "o-", color=_THEIRS, label="a scan a session"
    )
    cpu.plot(sizes, [point.cpu_percent for point in sampling], "o-", color=_OURS, label="one scan for all")
    cpu.set_title("CPU of sampling, % of a core", fontsize=9)
    cpu.legend(frameon=False)
    end.plot(sizes, [point.end_cpu_s for point in sampling], "o-", color=_OURS)
    end.set_title("CPU s to end all at once", fontsize=9)
    last = sampling[-1]
    for axes, value in ((cpu, last.cpu_percent), (end, last.end_cpu_s)):
        axes.plot([0, last.sessions], [0, value], color=_BAR, linewidth=1, linestyle="--")
        axes.set_xlabel("sessions at once (dashed: linear)")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
    return figure
