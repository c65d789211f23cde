"""`greenroom verdict`: the login verdict on saved pages, with its evidence as a table or as JSON."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import BinaryIO, Final

import attrs
import httpx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from actors.verdict import Decision, Evidence, Finding, LoginState, analyse_html, decide
from actors.verdict.site import is_same_site

MAX_PAGE_BYTES = 64 * 1024 * 1024
HTTP_TIMEOUT_S = 20.0
FETCH_TIMEOUT_S = 60.0
STDIN = "-"
EXIT_CODES: Final = {LoginState.LOGGED_IN: 0, LoginState.LOGGED_OUT: 1, LoginState.UNCERTAIN: 2}
EXIT_UNREADABLE: Final = 3
_STYLES = {LoginState.LOGGED_IN: "green", LoginState.LOGGED_OUT: "red", LoginState.UNCERTAIN: "yellow"}


class PageUnreadable(Exception):
    """There is no page to judge: no such file, a directory, an address that does not answer, or too much."""


@attrs.frozen(kw_only=True)
class Judged:
    """A page that was asked for, what was found on it, and what follows."""

    source: str
    size: int
    finding: Finding
    decision: Decision


def show_verdicts(
    sources: Sequence[str],
    console: Console,
    complain: Callable[[str], None],
    *,
    as_json: bool = False,
    show_viewer: bool = False,
) -> int:
    """Print the verdict on each source: one with its evidence, several with a line each and a total. Blocks.

    As JSON, each is one line. The viewer's handle is left out unless asked for; other content of a page is
    never shown. What can't be read is complained of. Returns the highest of the `EXIT_CODES`, or
    `EXIT_UNREADABLE` where a source could not be read.
    """
    states: list[LoginState] = []
    for source in sources:
        try:
            judged = judge_source(source)
        except PageUnreadable as exc:
            complain(str(exc))
            continue
        states.append(judged.decision.state)
        if as_json:
            print(_as_json(judged, show_viewer=show_viewer), file=console.file, flush=True)
        elif len(sources) == 1:
            _show_page(judged, console, show_viewer=show_viewer)
        else:
            _show_line(judged, console, show_viewer=show_viewer)
    if len(sources) > 1 and not as_json:
        _show_total(states, len(sources), console)
    return EXIT_UNREADABLE if len(states) < len(sources) else max(EXIT_CODES[state] for state in states)


def judge_source(source: str) -> Judged:
    """Judge the page that a file has, or an address, or standard input where `source` is "-". Blocks.

    An address is fetched without cookies, so it shows what nobody in particular gets. Raises PageUnreadable.
    """
    if source.lower().startswith(("http://", "https://")):
        page, is_elsewhere = _fetch(source)
    else:
        page, is_elsewhere = _read_file(source), False
    finding = analyse_html(page, is_elsewhere=is_elsewhere)
    return Judged(source=source, size=len(page), finding=finding, decision=decide(finding.evidence))


def _as_json(judged: Judged, *, show_viewer: bool) -> str:
    finding = judged.finding
    shown: dict[str, object] = {
        "source": judged.source,
        "bytes": judged.size,
        "state": judged.decision.state.value,
        "reason": judged.decision.reason.value,
        "method": finding.method.value,
        "elapsed_ms": round(finding.elapsed_ms, 2),
        "evidence": [
            {
                "rule": piece.rule,
                "place": piece.place,
                "points_to": piece.points_to.value,
                "strength": piece.strength.name.lower(),
                "reason": piece.reason.value,
                "count": piece.count,
            }
            for piece in finding.evidence
        ],
    }
    if show_viewer:
        shown["viewer"] = finding.viewer if judged.decision.state is LoginState.LOGGED_IN else None
    return json.dumps(shown)


def _show_page(judged: Judged, console: Console, *, show_viewer: bool) -> None:
    finding, state = judged.finding, judged.decision.state
    console.print(f"[{_STYLES[state]}]{state.value}[/]  {judged.decision.reason.value}")
    if show_viewer and state is LoginState.LOGGED_IN:
        console.print(f"viewer  {finding.viewer or 'not named'}")
    table = Table(box=SIMPLE_HEAD)
    for heading in ("rule", "place", "points to", "strength"):
        table.add_column(heading, overflow="fold")
    table.add_column("count", justify="right")
    for piece in finding.evidence:
        table.add_row(*_cells(piece))
    console.print(table)
    console.print(
        f"{finding.method.value}: {judged.size / 1000:,.0f} kB in {finding.elapsed_ms:.1f} ms",
        highlight=False,
    )


def _show_line(judged: Judged, console: Console, *, show_viewer: bool) -> None:
    state = judged.decision.state
    viewer = f"  {judged.finding.viewer}" if show_viewer and state is LoginState.LOGGED_IN else ""
    console.print(
        f"[{_STYLES[state]}]{state.value:10}[/]  {judged.decision.reason.value:15} "
        f"{judged.finding.elapsed_ms:6.1f} ms  ",
        end="",
        highlight=False,
    )
    console.print(_printable(judged.source) + viewer, markup=False, highlight=False, soft_wrap=True)


def _show_total(states: Sequence[LoginState], count: int, console: Console) -> None:
    counts = [f"{states.count(state)} {state.value}" for state in LoginState]
    if len(states) < count:
        counts.append(f"{count - len(states)} unreadable")
    console.print(f"{count} pages: {', '.join(counts)}", highlight=False)


def _printable(text: str) -> str:
    """Return a name or an address with what a terminal would obey written out."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _cells(piece: Evidence) -> tuple[str, ...]:
    return (
        piece.rule,
        piece.place,
        piece.points_to.value,
        piece.strength.name.lower(),
        str(piece.count),
    )


def _read_file(source: str) -> bytes:
    try:
        if source == STDIN:
            return _read(source, sys.stdin.buffer)
        with Path(source).open("rb") as file:
            return _read(source, file)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a file's name"
        raise PageUnreadable(f"{_printable(source)}: {why}") from exc


def _read(source: str, file: BinaryIO) -> bytes:
    page = file.read(MAX_PAGE_BYTES + 1)
    _check_size(source, len(page))
    return page


def _fetch(url: str) -> tuple[bytes, bool]:
    """Return the page at an address, and whether another site answered. No cookie is sent, none is kept."""
    page = bytearray()
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    try:
        with (
            httpx.Client(follow_redirects=True, timeout=HTTP_TIMEOUT_S, cookies=no_cookies) as client,
            client.stream("GET", url) as answer,
        ):
            for chunk in answer.iter_bytes():
                page += chunk
                _check_size(url, len(page))
                if time.monotonic() > deadline:
                    raise PageUnreadable(f"{_printable(url)}: not there after {FETCH_TIMEOUT_S:.0f} s")
            return bytes(page), not is_same_site(url, str(answer.url))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
        why = _printable(str(exc)) or type(exc).__name__
        raise PageUnreadable(f"{_printable(url)}: {why}") from exc


def _check_size(source: str, size: int) -> None:
    if size > MAX_PAGE_BYTES:
        raise PageUnreadable(f"{_printable(source)}: more than {MAX_PAGE_BYTES >> 20} MB")
