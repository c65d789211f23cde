"""The published page: tables, plots, and how to reproduce them."""

from collections.abc import Iterable, Iterator, Mapping

from benchmarks.figures import Report, Row, Verdict, show
from benchmarks.peers import SCRAPLING

_PREFACE = f"""# Benchmarks

Greenroom's figures next to those of what people would use without it, from one run on one machine.
Everything uses the local practice site; nothing leaves the machine. `make bench` measures everything again
and writes this page. `make bench ARGS=--quick` takes under three minutes; its figures are less certain.

Greenroom is the real daemon, `greenroom serve`, called over HTTP. **{SCRAPLING}** is
[benchmarks/bare_scrapling.py](../benchmarks/bare_scrapling.py), the same job written with Scrapling alone:
one long-lived Python process copies the profile with `shutil`, launches the same browser with the same
options on the copy, fetches the page, and takes its content. Importing Scrapling is not timed; starting a
Playwright driver is part of each session. Greenroom and the baseline alternate, A B A B, in the same run.
The figures of every run are in [benchmarks/figures.json](benchmarks/figures.json).

A row shows medians (p50) unless it says otherwise. Missed bars are shown as missed."""

_HEADINGS = ("", "Greenroom", "baseline", "ratio", "bar", "", "runs")
_VERDICTS = {
    Verdict.MET: "met",
    Verdict.MISSED: "**missed**",
    Verdict.NOT_MEASURED: "not measured",
    Verdict.NO_BAR: "",
}


def render_page(report: Report, notes: Mapping[str, str], plots: Mapping[str, str]) -> str:
    """Return the page as Markdown. `plots` are paths relative to the page, by caption."""
    return "\n".join(_lines(report, notes, plots)) + "\n"


def _lines(report: Report, notes: Mapping[str, str], plots: Mapping[str, str]) -> Iterator[str]:
    yield _PREFACE
    yield ""
    yield f"Run on {report.date} by `{report.command}`{' (quick)' if report.quick else ''}"
    yield f"on {report.machine};"
    yield f"{report.versions}."
    for group in dict.fromkeys(row.group for row in report.rows):
        rows = [row for row in report.rows if row.group == group]
        yield ""
        yield f"## {group}"
        yield ""
        yield from markdown(_HEADINGS, map(cells, rows))
        yield from _notes(rows, notes)
    yield from _skipped(report.skipped)
    if plots:
        yield ""
        yield "## Plots"
    for caption, path in plots.items():
        yield ""
        yield f"![{caption}]({path})"


def _notes(rows: Iterable[Row], notes: Mapping[str, str]) -> Iterator[str]:
    for row in rows:
        for text in filter(None, (row.why_not, notes.get(row.key))):
            yield ""
            sentence = text.strip().rstrip(".")
            yield f"*{row.title}*: {sentence}."


def _skipped(skipped: Mapping[str, str]) -> Iterator[str]:
    if skipped:
        yield ""
        yield "## Skipped"
        yield ""
        yield from markdown(("baseline", "skipped because"), skipped.items())


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's cells, one for each heading."""
    baseline = show(row.baseline_value, row.unit)
    return (
        row.title,
        show(row.value, row.unit),
        f"{baseline} ({row.baseline})" if row.baseline and baseline else row.baseline or "",
        show(row.ratio, ""),
        row.bar_in_words,
        _VERDICTS[row.verdict],
        f"{len(row.samples):,}" if row.samples else "",
    )


def markdown(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table."""
    for row in (headings, ("---",) * len(headings), *rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
