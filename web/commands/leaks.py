"""Asks a running daemon over HTTP what it owns, and shows that as a table."""

from pathlib import Path

import httpx
import msgspec
import trio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from greenroom.web.commands.reaching import open_async_client
from greenroom.web.http.schemas import Leaks, TikTokSessionErrorResponse

HTTP_TIMEOUT_S = 10.0
"""The time limit for the whole answer. A survey takes about a second."""
MAX_BYTES = 16 * 1024 * 1024
MAX_LINE = 200


class DaemonUnreachable(Exception):
    """No daemon answers there, or something else does. The text is for the user."""


def show_leaks(url: str, token: str | None, console: Console, *, certificate: Path | None = None) -> bool:
    """Print what the daemon at `url` owns. Returns whether nothing is leaked. Blocks.

    `url` and `certificate` are as for `open_async_client`. Raises `DaemonUnreachable`, even if something
    other than a daemon answers.
    """
    status, body = trio.run(_ask, url, token, certificate)
    try:
        if status != httpx.codes.OK:
            failure = msgspec.json.decode(body, type=TikTokSessionErrorResponse)
            raise DaemonUnreachable(f"The daemon at {url} refuses: {_line(failure.message)}")
        answer = msgspec.json.decode(body, type=Leaks)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise DaemonUnreachable(f"What answers at {url} is no Greenroom daemon (HTTP {status})") from exc
    _show(answer, console)
    return answer.leaked.is_empty


async def _ask(url: str, token: str | None, certificate: Path | None) -> tuple[int, bytes]:
    """Return the answer's status and body."""
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
    status, body = 0, bytearray()
    try:
        with trio.move_on_after(HTTP_TIMEOUT_S) as patience:
            async with (
                open_async_client(url, certificate=certificate, headers=headers, timeout=None) as client,
                client.stream("GET", "/leaks") as answer,
            ):
                status = answer.status_code
                async for data in answer.aiter_raw():
                    body += data
                    if len(body) > MAX_BYTES:
                        patience.cancel(reason="no daemon says so much")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, OverflowError) as exc:
        raise DaemonUnreachable(f"No daemon answers at {url}: {_line(str(exc))}") from exc
    if patience.cancelled_caught:
        raise DaemonUnreachable(f"No daemon answers at {url} within {HTTP_TIMEOUT_S:g} seconds")
    return status, bytes(body)


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
        console.print(escape(_line(f"process {process.pid} ({process.name}) of {process.session}")))
    for directory in leaked.directories:
        console.print(escape(_line(f"directory {directory.name}, {directory.bytes / 1e6:.1f} MB")))
    console.print(escape(_line(answer.message)))


def _line(text: str) -> str:
    """Return another program's text as one line that is safe on a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)[:MAX_LINE]
