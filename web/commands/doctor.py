"""Checks for whatever would stop sessions from running here, and says how to fix it."""

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Final

import trio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from greenroom.actors.errors import GreenroomError
from greenroom.web.checks import Finding, Level
from greenroom.web.checks.launch import check_launch
from greenroom.web.checks.machine import check_display, check_engine, check_python, check_sandbox, check_user
from greenroom.web.checks.network import check_network, check_port
from greenroom.web.checks.places import check_clones, check_master
from greenroom.web.checks.room import check_limits, check_room
from greenroom.web.checks.secrets import check_tls
from greenroom.web.settings import DaemonSettings

_STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
# A launch needs these checks to pass. It can do without a master, and reports scarce resources itself.
_NEEDED_TO_LAUNCH: Final = frozenset({"engine", "sandbox", "display", "clones"})

Check = Callable[[DaemonSettings], Finding | Iterable[Finding] | None]

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("python", check_python),
    ("user", check_user),
    ("engine", check_engine),
    ("sandbox", check_sandbox),
    ("display", check_display),
    ("master profile", check_master),
    ("clones", check_clones),
    ("limits", check_limits),
    ("resources", check_room),
    ("tls", check_tls),
    ("port", check_port),
    ("site", check_network),
)


async def show_examination(
    settings: DaemonSettings, console: Console, *, launch: bool, as_json: bool = False
) -> bool:
    """Check this machine, showing progress meanwhile, and print the findings, or one JSON document of them.

    Returns whether sessions can run, that is, whether nothing fails.
    """
    findings = []
    with console.status("Looking ...") as status:
        async with aclosing(examine(settings, launch=launch)) as looking:
            async for finding in looking:
                findings.append(finding)
                status.update(f"{finding.subject} done ...")
    is_fine = all(finding.level is not Level.FAIL for finding in findings)
    if as_json:
        document = {"ok": is_fine, "findings": [finding.as_json() for finding in findings]}
        print(json.dumps(document, indent=2), file=console.file)
    else:
        show_findings(findings, console)
    return is_fine


def show_findings(findings: Iterable[Finding], console: Console) -> None:
    """Print findings, one a line, and below each how to fix it."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for finding in findings:
        found = escape(finding.found) + (f"\n[bold]-> {escape(finding.fix)}[/]" if finding.fix else "")
        table.add_row(f"[{_STYLES[finding.level]}]{finding.level.value}[/]", finding.subject, found)
    console.print(table)


async def examine(settings: DaemonSettings, *, launch: bool) -> AsyncGenerator[Finding, None]:
    """Yield a finding for each thing that a session needs. With `launch`, also run the browser for real.

    If a check itself breaks, that is a finding too.
    """
    failed = set()
    for subject, check in CHECKS:
        for finding in await trio.to_thread.run_sync(look, subject, check, settings):
            if finding.level is Level.FAIL:
                failed.add(finding.subject)
            yield finding
    if launch and not failed & _NEEDED_TO_LAUNCH:
        yield await check_launch(settings)


def look(subject: str, check: Check, settings: DaemonSettings) -> list[Finding]:
    """Return what a check finds; if it breaks, that is a finding too. Blocks."""
    try:
        found = check(settings)
        return list(found) if isinstance(found, Iterator) else [found] if isinstance(found, Finding) else []
    except (GreenroomError, OSError) as exc:
        fix = "fix that first: the rest could not be checked"
        return [Finding(subject, Level.FAIL, f"can't be looked at: {exc}", fix)]
