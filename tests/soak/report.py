"""The published page: one section per kind of soak, each written by the run that it shows."""

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import attrs
import psutil
from rich.table import Table

from greenroom.actors.browser.cells.sandbox import Sandbox
from tests.soak.faults import MOMENTS, Fault
from tests.soak.measuring import Footprint
from tests.soak.running import MAX_SERVED, SESSIONS_PER_HOST, Plan, Tally

_PREFACE = f"""# Soak

The soak creates and ends thousands of sessions through `open_supervisor`, each with a random fault, and
counts what is left. `make soak` runs it and writes this page; each section shows the last run of its kind.
The supervisor, the ledger, the clones of a master profile, the cells, the host processes, the pool that
shares them, and the protocol with them are real in every run. Without a browser, the host is a small script
that speaks the protocol and starts `sleep` in the browser's cell.

Up to {SESSIONS_PER_HOST} sessions share a host at once, and a host is replaced after {MAX_SERVED}. A fault
that strikes a host ends all sessions in it. In the table, "with its host" counts sessions that ended by a
fault meant for another session. Without a browser, most sessions whose fault strikes a whole host have a
host to themselves.

After each cycle, the soak looks for its clone, its temporary directory and its ledger entry. After each
tenth of the cycles, when no session exists, it looks at all processes of the machine and at the daemon's
directory; the pool may keep one host ready at that point. At the end, it looks at all processes once more
and at the clones directory. *Hosts* left behind are those beyond that one. At the end of each cycle, hosts
with room for more sessions count too if there are more of them than the concurrent sessions need plus one.
Memory is that of the process in which the supervisor runs, including the soak itself. To fit many cycles
into a few minutes, a host counts as stalled early, sessions last a second or two at most, and a tenth of
the cycles is remembered as ended (the daemon remembers 10,000, or 15 minutes).
"""
_LEAKABLE = (
    "processes",
    "hosts",
    "directories",
    "entries",
    "file descriptors",
    "changes to the master profile",
)
_MB = 1 << 20


@attrs.frozen(kw_only=True)
class Setting:
    """How a soak was run."""

    plan: Plan
    sandbox: Sandbox
    command: str
    engine: str

    @property
    def title(self) -> str:
        """The heading of its section."""
        kind = "Without a browser" if self.plan.browserless else "With Firefox"
        sandbox = "in bubblewrap" if self.sandbox is Sandbox.BUBBLEWRAP else "without a sandbox"
        return f"{kind}, {sandbox}"


def write_section(page: Path, setting: Setting, tally: Tally) -> None:
    """Write this run's section into the page. It replaces the previous one of its kind."""
    sections: dict[str, str] = {}
    if page.exists():
        for part in re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]:
            title, _, text = part.partition("\n")
            sections[title] = text.strip()
    sections[setting.title] = "\n".join(_section(setting, tally))
    parts = [_PREFACE, *(f"## {title}\n\n{sections[title]}\n" for title in sorted(sections, reverse=True))]
    page.write_text("\n".join(parts))


def _section(setting: Setting, tally: Tally) -> Iterable[str]:
    plan = setting.plan
    verdict = "passed" if not tally.failures else "FAILED"
    yield f"**{verdict}**: {tally.cycles:,} cycles in {tally.seconds:,.0f} s, {rate(tally)}."
    yield ""
    yield from (f"- {failure}" for failure in tally.failures[:20])
    yield ""
    yield f"Run on {datetime.now(UTC):%Y-%m-%d} by `{setting.command}`: {plan.concurrency} sessions at once,"
    yield f"seed {plan.seed}, on {machine()};"
    yield f"{versions(setting.engine)}."
    yield ""
    yield from _markdown(("fault", "moments", "cycles", "ended"), fault_rows(tally))
    yield ""
    yield f"{hosts(tally)}; {plan.max_hosts} are allowed."
    yield ""
    yield from _markdown(("left behind", "count"), [(name, str(tally.leaks[name])) for name in _LEAKABLE])
    yield ""
    yield from _markdown(("of the supervisor's process", *_HEADINGS), footprint_rows(tally))
    yield ""
    yield f"Memory grew by {tally.growth_bytes / _MB:+.2f} MB after the first tenth; the bar is 2 MB."


_HEADINGS = ("RSS, MB", "PSS, MB", "anonymous, MB", "Python objects", "file descriptors")


def fault_rows(tally: Tally) -> list[tuple[str, ...]]:
    """Return a row for each fault that was drawn."""
    rows: list[tuple[str, ...]] = []
    for fault in Fault:
        ends = {reason: count for (name, reason), count in sorted(tally.ends.items()) if name == fault.value}
        if ends:
            moments = ", ".join(moment.value for moment in MOMENTS.get(fault, ()))
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in ends.items())
            rows.append((fault.value, moments, f"{sum(ends.values()):,}", reasons))
    return rows


def footprint_rows(tally: Tally) -> list[tuple[str, ...]]:
    """Return a row for each tenth of the cycles."""
    return [(f"after {tenth}0 %", *_row(found)) for tenth, found in enumerate(tally.footprints, start=1)]


def _row(found: Footprint) -> tuple[str, ...]:
    sizes = (found.rss, found.pss, found.anonymous)
    return (*(f"{size / _MB:.2f}" for size in sizes), f"{found.objects:,}", str(found.descriptors))


def rate(tally: Tally) -> str:
    """Return how many cycles it ran per second."""
    return f"{tally.cycles / tally.seconds:.1f} a second" if tally.seconds else ""


def hosts(tally: Tally) -> str:
    """Say how many hosts the pool had, and for how many sessions."""
    return (
        f"{tally.in_hosts:,} sessions shared {tally.hosts:,} hosts of the pool, "
        f"at most {tally.most_hosts} of which could take sessions at once"
    )


def result_table(tally: Tally) -> Table:
    """Return the table to print on the terminal at the end."""
    table = Table("fault", "cycles", "ended")
    for fault, _moments, cycles, ended in fault_rows(tally):
        table.add_row(fault, cycles, ended)
    return table


def _markdown(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    for row in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(row)} |"


def machine() -> str:
    """Describe this machine in general terms."""
    memory = round(psutil.virtual_memory().total / (1 << 30))
    release = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores, {memory} GB of memory, {release}, Linux {kernel}"


def versions(engine: str) -> str:
    """Return the versions of Python, the packages, bubblewrap and the browser."""
    bubblewrap = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout
    packages = ("greenroom", "trio", "playwright", "scrapling")
    named = [f"{package} {importlib.metadata.version(package)}" for package in packages]
    return ", ".join(
        [f"Python {platform.python_version()}", *named, bubblewrap.strip() or "no bubblewrap", engine]
    )
