"""Asks a running daemon over HTTP what it owns, and shows that as a table."""

from pathlib import Path

import trio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from greenroom.web.client import AsyncClient
from greenroom.web.http.schemas import Leaks
from greenroom.web.terminal import one_line

HTTP_TIMEOUT_S = 10.0
"""The time limit for the whole answer. A survey takes about a second."""


def show_leaks(url: str, token: str | None, console: Console, *, certificate: Path | None = None) -> bool:
    """Print what the daemon at `url` owns. Returns whether nothing is leaked. Blocks.

    Raises `DaemonUnreachable`, even if something other than a daemon answers, and `ApiError`.
    """
    answer = trio.run(_ask, url, token, certificate)
    _show(answer, console)
    return answer.leaked.is_empty


async def _ask(url: str, token: str | None, certificate: Path | None) -> Leaks:
    client = AsyncClient(url, token, timeout_s=HTTP_TIMEOUT_S, retry_for_s=0, certificate=certificate)
    async with client:
        return await client.leaks()


def _show(answer: Leaks, console: Console) -> None:
    owned, leaked = answer.owned, answer.leaked
    table = Table(box=SIMPLE_HEAD)
    for heading in ("", "owned", "of that, leaked"):
        table.add_column(heading, justify="left" if not heading else "right")
    for subject in ("processes", "directories", "entries"):
        table.add_row(subject, str(len(getattr(owned, subject))), str(len(getattr(leaked, subject))))
    table.add_row("disk space", f"{owned.bytes / 1e6:.1f} MB", f"{leaked.bytes / 1e6:.1f} MB")
    console.print(table)
    for process in leaked.processes:
        console.print(escape(one_line(f"process {process.pid} ({process.name}) of {process.session}")))
    for directory in leaked.directories:
        console.print(escape(one_line(f"directory {directory.name}, {directory.bytes / 1e6:.1f} MB")))
    console.print(escape(one_line(answer.message)))
