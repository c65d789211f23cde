"""The matrix's results: a table on the terminal, and the page in `docs/`."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.chaos.matrix import RELEASE_S
from tests.chaos.trial import Result

_HEADINGS = (
    "moment", "victim", "means", "end reason", "seconds", "processes", "directories", "ledger entries",
    "file descriptors", "same host", "other host", "master",
)  # fmt: skip
_NOTES = """\
Each row is one session of a real daemon with a real Firefox. *Seconds* runs from the signal until the
session has ended and nothing of it is left. If the session survives the loss of the victim ("lived on"), it
is deleted after 3 s, and the seconds run from the deletion. A process that is stopped, not killed, is
noticed by the creation's deadline ({creation_s:g} s here), by the heartbeat (15 s), or when the grace of a
polite close (5 s) runs out. *Processes*, *directories* and *ledger entries* are what is left at that
moment. *File descriptors* is how many more the daemon has than before; fewer count as none. *Master*
compares a hash of the whole master profile. Sessions in the "writing" and "committing" rows write the
profile, 400 MB of it: it is as it was, or it is the next generation, whole; the next writer gets it, and
leaves nothing beside it but earlier generations.

A browser host serves several sessions. *Same host* is about a second session in the row's host; *other
host* is about two more in another host of the same daemon. *Live* means that these sessions still have the
same browser, driver and host processes. Striking a host, or the driver in it, ends all sessions in it and
no others: "browser_lost" is then followed by the seconds from the signal until nothing was left of either
session, and the second session and the host count towards what is left. If a host or its driver is stopped,
an end takes up to {release_s:g} s more: the host gets that long to release a session before it is killed. A
host whose sandbox was stopped goes on; at the end of the row its driver is killed while the sandbox is
still stopped, and nothing may be left of it. The one idle host that a daemon keeps ready is not counted; a
second one would be.

If the daemon is killed, *seconds* runs until its last process is gone without help, and the other columns
are what the next daemon leaves after its start and its end. A stopped daemon continues after 3 s. In the
"ending" rows, the browser was stopped beforehand, so that the close takes its full grace.
"""


def cells_of(result: Result) -> tuple[str, ...]:
    """Return the texts of a row's cells."""
    return (
        result.moment,
        result.victim,
        result.means,
        result.end,
        "-" if result.seconds is None else f"{result.seconds:.1f}",
        str(result.processes),
        str(result.directories),
        str(result.entries),
        "-" if result.descriptors is None else str(max(0, result.descriptors)),
        result.second,
        result.others,
        result.master,
    )


def print_table(results: Iterable[Result], console: Console) -> None:
    """Print all rows, the failing ones in red."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("sandbox")
    for heading in _HEADINGS:
        table.add_column(heading)
    table.add_column("")
    for result in results:
        table.add_row(
            result.sandbox,
            *cells_of(result),
            "; ".join(result.problems),
            style="red" if result.problems else "",
        )
    console.print(table)


def write_page(
    path: Path, results: Sequence[Result], *, command: str, kept: int, took_s: float, creation_s: float
) -> None:
    """Write the page. `kept` counts the results taken over from the previous page."""
    failing = [result for result in results if result.problems]
    verdict = (
        f"**{len(failing)} of {len(results)} rows fail.**" if failing else f"All {len(results)} rows hold."
    )
    lines = [
        "# Nothing left behind, whatever dies",
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, in {took_s / 60:.0f} minutes. {verdict}",
        f"{kept} of them held in the previous run; this run repeated the others." if kept else "",
        "",
        f"Machine: {_machine()}.",
        "",
        _NOTES.format(creation_s=creation_s, release_s=RELEASE_S),
    ]
    for sandbox in dict.fromkeys(result.sandbox for result in results):
        lines += [f"## sandbox = {sandbox}", "", _line(_HEADINGS), _line(["---"] * len(_HEADINGS))]
        for result in results:
            if result.sandbox == sandbox:
                texts = list(cells_of(result))
                if result.problems:
                    texts[0] = f"**FAILS** {texts[0]}"
                    texts[3] = f"{texts[3]} (**{'; '.join(result.problems)}**)"
                lines.append(_line(texts))
        lines.append("")
    path.write_text("\n".join(lines))


def read_page(path: Path) -> list[Result]:
    """Return the rows of a page that `write_page` wrote, without the failing ones."""
    results: list[Result] = []
    sandbox = ""
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("## sandbox = "):
            sandbox = line.removeprefix("## sandbox = ")
        texts = [text.strip() for text in line.strip("| ").split(" | ")]
        is_row = sandbox and len(texts) == len(_HEADINGS) and texts[4].replace(".", "").isdigit()
        if is_row and "**" not in line:
            moment, victim, means, end, seconds, *counts, growth, second, others, master = texts
            processes, directories, entries = map(int, counts)
            results.append(
                Result(
                    sandbox=sandbox,
                    moment=moment,
                    victim=victim,
                    means=means,
                    end=end,
                    seconds=float(seconds),
                    processes=processes,
                    directories=directories,
                    entries=entries,
                    descriptors=None if growth == "-" else int(growth),
                    second=second,
                    others=others,
                    master=master,
                )
            )
    return results


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"


def _machine() -> str:
    debian = Path("/etc/debian_version")
    system = f"Debian {debian.read_text().strip()}" if debian.exists() else platform.system()
    parts = [
        f"{os.cpu_count()} cores",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB of memory",
        f"kernel {platform.release().split('-')[0]}",
        system,
        _version("firefox-esr", "firefox"),
        _version("bwrap"),
    ]
    return ", ".join(filter(None, parts))


def _version(*names: str) -> str:
    for name in names:
        if shutil.which(name):
            done = subprocess.run(
                [name, "--version"], capture_output=True, text=True, check=False, timeout=20
            )
            return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else name
    return ""
