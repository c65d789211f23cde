"""`python -m benchmarks.verdict`: the login verdict's speed and accuracy, compared with the patterns'.

Writes the figures between the marks in docs/verdict.md, and draws docs/verdict.svg. Times are CPU times, the
best of several runs, since other work on the machine makes a run longer but never shorter. None of the pages
is TikTok's own: they are the practice site's, which have the same structure, and hostile ones.
"""

import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import click
import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.machine import describe_machine
from greenroom.actors.verdict import LoginState, analyse_html, decide
from greenroom.web.practice.pages import State, all_pages, render
from tests.fuzz.hostile import hostile_pages

LOGGED_IN_PATTERNS: Final = (
    *("profile-avatar", "user.*avatar", "logged.*in", "sign.*out", "log.*out", "account", "notification"),
    *("message", "inbox"),
)
LOGGED_OUT_PATTERNS: Final = (
    *("login.*button", "sign.*in", "log.*in", "register", "create.*account", "join.*tiktok"),
)
STATES: Final = {
    State.LOGGED_IN: LoginState.LOGGED_IN,
    State.LOGGED_OUT: LoginState.LOGGED_OUT,
    State.CHALLENGE: LoginState.UNCERTAIN,
}
HOSTILE_CHARS: Final = 990_000
# The patterns take quadratic time on some hostile pages, so they get pages of a tenth of the size.
PATTERNS_HOSTILE_CHARS: Final = 99_000
SIZES: Final = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 50_000_000)
PATTERNS_MAX_SIZE: Final = 10_000_000
ENOUGH_MS: Final = 500.0
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
_MB = 1_000_000
_STYLE: Final[dict[Any, Any]] = {"svg.hashsalt": "greenroom", "svg.fonttype": "none", "font.size": 9.0}


@attrs.frozen(kw_only=True)
class Subject:
    """A way to reach a verdict."""

    name: str
    judge: Callable[[str], LoginState]


@attrs.frozen(kw_only=True)
class Figures:
    """One subject's figures.

    `median_ms` is for a large page; `slowest_page` and `slowest_hostile` are milliseconds per megabyte;
    `right` counts the right verdicts.
    """

    median_ms: float
    slowest_page: float
    slowest_hostile: float
    hostile_name: str
    right: Mapping[State, int]


def judge_by_evidence(html: str) -> LoginState:
    """Return Greenroom's verdict on a page's HTML alone."""
    return decide(analyse_html(html).evidence).state


def judge_by_patterns(html: str) -> LoginState:
    """Return the specification's verdict: the side with more pattern matches, as `re.findall` counts them."""
    balance = sum(len(re.findall(pattern, html, re.IGNORECASE)) for pattern in LOGGED_IN_PATTERNS)
    balance -= sum(len(re.findall(pattern, html, re.IGNORECASE)) for pattern in LOGGED_OUT_PATTERNS)
    if not balance:
        return LoginState.UNCERTAIN
    return LoginState.LOGGED_IN if balance > 0 else LoginState.LOGGED_OUT


EVIDENCE = Subject(name="evidence", judge=judge_by_evidence)
PATTERNS = Subject(name="patterns", judge=judge_by_patterns)


@click.command()
@click.option("--into", type=click.Path(path_type=Path), default=Path("docs"), show_default=True)
def main(into: Path) -> None:
    """Measure, write the figures into verdict.md, and draw verdict.svg."""
    pages = {page: render(page) for page in all_pages()}
    counts = {state: sum(page.state is state for page in pages) for state in State}
    measured = {}
    for subject, chars in ((EVIDENCE, HOSTILE_CHARS), (PATTERNS, PATTERNS_HOSTILE_CHARS)):
        hostile = dict(hostile_pages(chars))
        click.echo(f"{subject.name}: {len(pages)} practice pages, {len(hostile)} hostile pages")
        practice_ms = [_best_ms(subject, html) for html in pages.values()]
        hostile_ms = {
            name: _best_ms(subject, html) / _megabytes(html, chars) for name, html in hostile.items()
        }
        worst = max(hostile_ms, key=lambda name: hostile_ms[name])
        large = [ms for ms, html in zip(practice_ms, pages.values(), strict=True) if len(html) > 400_000]
        measured[subject.name] = Figures(
            median_ms=statistics.median(large),
            slowest_page=max(
                ms / _megabytes(html, _MB) for ms, html in zip(practice_ms, pages.values(), strict=True)
            ),
            slowest_hostile=hostile_ms[worst],
            hostile_name=worst,
            right={
                state: sum(
                    subject.judge(html) is STATES[state]
                    for page, html in pages.items()
                    if page.state is state
                )
                for state in State
            },
        )
    growth = {
        subject.name: list(_grow(subject, next(iter(pages.values())))) for subject in (EVIDENCE, PATTERNS)
    }
    _draw(growth, into / "verdict.svg")
    text = "\n".join(_report(measured, counts, growth[EVIDENCE.name]))
    click.echo(text)
    _insert(into / "verdict.md", text)


def _best_ms(subject: Subject, html: str) -> float:
    """Return the least CPU time of up to five runs, in milliseconds. Slow subjects get fewer runs."""
    best, spent = float("inf"), 0.0
    for _ in range(5):
        started = time.thread_time()
        subject.judge(html)
        took = (time.thread_time() - started) * 1000
        best, spent = min(best, took), spent + took
        if spent > ENOUGH_MS:
            break
    return best


def _megabytes(html: str, least: int) -> float:
    return max(len(html.encode(errors="replace")), least) / _MB


def _grow(subject: Subject, page: str) -> Iterator[tuple[int, float]]:
    """Yield sizes in characters, each with the milliseconds for the page repeated or cut to that size."""
    for size in SIZES:
        if subject is PATTERNS and size > PATTERNS_MAX_SIZE:
            return
        html = (page * (size // len(page) + 1))[:size]
        yield size, _best_ms(subject, html)


def _report(
    measured: Mapping[str, Figures], counts: Mapping[State, int], growth: Sequence[tuple[int, float]]
) -> Iterator[str]:
    ours, theirs = measured[EVIDENCE.name], measured[PATTERNS.name]
    total = sum(counts.values())
    yield (f"| on the practice pages, {datetime.now(UTC):%Y-%m-%d} | evidence | the patterns, `re.findall` |")
    yield "| --- | --- | --- |"
    yield f"| right, of {total} | {sum(ours.right.values())} | {sum(theirs.right.values())} |"
    for state, count in counts.items():
        name = state.value.replace("_", " ")
        yield f"| … of {count} {name} | {ours.right[state]} | {theirs.right[state]} |"
    yield f"| median page of some 0.5 MB, ms | {ours.median_ms:.1f} | {theirs.median_ms:.0f} |"
    yield f"| slowest page, ms/MB | {ours.slowest_page:.1f} | {theirs.slowest_page:.0f} |"
    yield (
        f"| slowest hostile page, ms/MB | {ours.slowest_hostile:.1f} (1 MB each) | "
        f"{theirs.slowest_hostile:,.0f} (0.1 MB each) |"
    )
    yield ""
    yield (
        "`python -m benchmarks.verdict`: milliseconds of CPU, best of five runs; a page under 1 MB "
        "counts as 1 MB, except for the patterns' hostile pages. "
        f"{describe_machine(Path())}. Slowest for the evidence: `{ours.hostile_name}`, "
        f"for the patterns: `{theirs.hostile_name}`, repeated."
    )
    yield ""
    low, high = growth[0], growth[-1]
    yield (
        f"From {low[0] / 1000:,.0f} kB to {high[0] / _MB:,.0f} MB, a practice page repeated takes "
        f"{low[1]:.2f} ms to {high[1]:,.0f} ms:"
    )


def _draw(growth: Mapping[str, Sequence[tuple[int, float]]], path: Path) -> None:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.5, 3.2), layout="constrained")
        axes = figure.subplots()
        for (name, points), colour in zip(growth.items(), ("#1b7f5c", "#9aa3ad"), strict=True):
            axes.loglog(
                [size / _MB for size, _ in points],
                [ms for _, ms in points],
                "o-",
                color=colour,
                label=name,
                ms=4,
            )
        ends = [SIZES[0] / _MB, SIZES[-1] / _MB]
        axes.loglog(ends, [20 * end for end in ends], ":", color="#c2410c", label="20 ms/MB")
        axes.set_xlabel("size of the page, MB")
        axes.set_ylabel("ms of CPU")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _insert(path: Path, text: str) -> None:
    """Replace the text between the marks."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise click.ClickException(f"{path} lacks the marks {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    main()
