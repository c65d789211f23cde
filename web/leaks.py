"""What a running daemon owns, asked over HTTP and shown as a table."""

import httpx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

HTTP_TIMEOUT_S = 10.0


class DaemonUnreachable(Exception):
    """No daemon answers there, or not as one does; the text is for the user."""


def show_leaks(url: str, token: str | None, console: Console) -> bool:
    """Print what the daemon at `url` owns. Returns whether nothing of it is leaked. Blocks.

    Raises `DaemonUnreachable`.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(f"{url}/leaks", headers=headers, timeout=HTTP_TIMEOUT_S)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as exc:
        raise DaemonUnreachable(f"No daemon answers at {url}: {exc}") from exc
    if answer.status_code != httpx.codes.OK:
        raise DaemonUnreachable(f"The daemon at {url} refuses: {body.get('message')}")
    owned, leaked = body["owned"], body["leaked"]
    table = Table(box=SIMPLE_HEAD)
    for heading in ("", "owned", "of that, leaked"):
        table.add_column(heading, justify="left" if not heading else "right")
    for subject in ("processes", "directories", "entries"):
        table.add_row(subject, str(len(owned[subject])), str(len(leaked[subject])))
    table.add_row("disk space", f"{owned['bytes'] / 1e6:.1f} MB", f"{leaked['bytes'] / 1e6:.1f} MB")
    console.print(table)
    for process in leaked["processes"]:
        console.print(f"process {process['pid']} ({process['name']}) of {process['session']}")
    for directory in leaked["directories"]:
        console.print(f"directory {directory['name']}, {directory['bytes'] / 1e6:.1f} MB")
    console.print(body["message"])
    return not (leaked["processes"] or leaked["directories"] or leaked["entries"])
