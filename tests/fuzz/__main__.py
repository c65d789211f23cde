"""`python -m tests.fuzz`: feeds the login verdict practice pages that are broken at random, for some minutes.

No page may raise, and none may take over 20 ms of CPU per started megabyte. A core that others use too can
take twice as long for the same work, so a slow page is tried up to nine times more and its best time counts.
Exit code 1 if any page fails; failing pages are kept in files.
"""

import collections
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

import attrs
import click

from greenroom.actors.verdict import analyse_html, decide
from greenroom.web.practice.pages import all_pages, render, render_uncertain
from tests.fuzz.mutating import mutate

MAX_MS_PER_MB = 20.0
MORE_LOOKS, BETWEEN_LOOKS_S = 9, 0.5
_MB = 1_000_000


@attrs.define
class Report:
    """The results so far."""

    seed: int
    inputs: int = 0
    size: int = 0
    slowest: float = 0
    breaches: int = 0
    errors: int = 0
    verdicts: collections.Counter[str] = attrs.field(factory=collections.Counter)

    def text(self, minutes: float) -> str:
        """Return the results for humans."""
        verdicts = ", ".join(f"{verdict} {count:,}" for verdict, count in self.verdicts.most_common())
        return (
            f"seed {self.seed}: {self.inputs:,} inputs, {self.size / _MB:,.0f} MB, in {minutes:.1f} minutes\n"
            f"exceptions: {self.errors}; over {MAX_MS_PER_MB:.0f} ms/MB: {self.breaches}\n"
            f"slowest: {self.slowest:.1f} ms of CPU per started MB\n"
            f"verdicts: {verdicts}"
        )


@click.command()
@click.option("--minutes", type=float, default=1.0, show_default=True, help="How long to go on.")
@click.option("--seed", type=int, help="Repeats a run.  [default: a new one]")
def main(minutes: float, seed: int | None) -> None:
    """Feed broken pages to the login verdict, and print a report."""
    seed = secrets.randbits(32) if seed is None else seed
    rng = random.Random(seed)  # noqa: S311  # no secret
    pages = [render(page).encode() for page in all_pages()] + [render_uncertain().encode()]
    report = Report(seed)
    started = time.monotonic()
    while time.monotonic() - started < minutes * 60:
        _feed(mutate(rng, pages), report)
    click.echo(report.text((time.monotonic() - started) / 60))
    if report.errors or report.breaches:
        sys.exit(1)


def _feed(page: bytes, report: Report) -> None:
    report.inputs += 1
    report.size += len(page)
    try:
        ms_per_mb, verdict = _measure(page)
        for _ in range(MORE_LOOKS):
            if ms_per_mb > MAX_MS_PER_MB:  # the machine may have been busy with something else
                time.sleep(BETWEEN_LOOKS_S)
                ms_per_mb = min(ms_per_mb, _measure(page)[0])
    except Exception as exc:  # any exception is a finding
        report.errors += 1
        click.echo(f"{type(exc).__name__}: {_keep(page)}")
        return
    report.verdicts[verdict] += 1
    report.slowest = max(report.slowest, ms_per_mb)
    if ms_per_mb > MAX_MS_PER_MB:
        report.breaches += 1
        click.echo(f"{ms_per_mb:.1f} ms/MB: {_keep(page)}")


def _measure(page: bytes) -> tuple[float, str]:
    started = time.thread_time()
    decision = decide(analyse_html(page).evidence)
    took_ms = (time.thread_time() - started) * 1000
    return took_ms / -(-max(len(page), 1) // _MB), f"{decision.state.value} {decision.reason.value}"


def _keep(page: bytes) -> Path:
    with tempfile.NamedTemporaryFile(prefix="fuzz-", suffix=".html", delete=False) as file:
        file.write(page)
    return Path(file.name)


if __name__ == "__main__":
    main()
