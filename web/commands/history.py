"""How sessions ended, from the running daemon or, without one, from the file that it left."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from rich.bar import Bar
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from greenroom.actors.lifecycle import SessionState
from greenroom.actors.machine.bundles import Bundles
from greenroom.actors.resources.usage import in_words
from greenroom.supervisor.history import Percentiles, read_history
from greenroom.web.client import DaemonUnreachable
from greenroom.web.commands.sessions import make_client
from greenroom.web.daemon_history import history_path
from greenroom.web.http.history_schemas import HistoryAnswer, HistoryEntry, HistoryQuery
from greenroom.web.settings import DaemonSettings
from greenroom.web.terminal import one_line

_AGO: Final = re.compile(r"(\d{1,6}) *([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# How long they take says nothing of the machine, so they have no bars.
_CHOSEN: Final = {SessionState.WARM.value, SessionState.LIVE.value}
_BAR_COLUMNS: Final = 30
# From here on, a session's whole id has room.
_WIDE_COLUMNS: Final = 130


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time that a user means: ISO 8601, local unless it says otherwise, or `2h` for that long ago.

    Raises `ValueError`, which says what can be meant.
    """
    try:
        if (ago := _AGO.fullmatch(text.strip())) is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time, as 2026-11-27T12:00 is, or 30m, 2h, 7d ago.") from None


def ask_history(
    settings: DaemonSettings, url: str | None, query: Mapping[str, str]
) -> tuple[HistoryAnswer, str]:
    """Return the answer to a query, and whose it is. Blocks.

    It comes from the daemon at `url` if given; else from the one that runs as in the settings; else from the
    file. Raises `ClientError`, `HistoryUnavailable`, `NoPlace`, or `ValueError` for a cursor
    that is none.
    """
    asked = msgspec.convert(query, HistoryQuery, strict=False)
    after = asked.after
    address = url or settings.url
    try:
        with make_client(settings, url) as client:
            return client.history(**msgspec.structs.asdict(asked)), f"the daemon at {address}"
    except DaemonUnreachable as exc:
        if url is not None:
            raise
        why = "no daemon runs" if exc.is_absent else str(exc)
    path = history_path()
    where = f"{path}: there is no such file" if not path.exists() else str(path)
    page, summary = read_history(path, asked.filter, after, asked.limit)
    return HistoryAnswer.of(page, summary, Bundles(settings.bundles_dir).list_kept()), f"{where}; {why}"


def show_history(answer: HistoryAnswer, source: str, console: Console) -> None:
    """Print an answer as tables; on a terminal, with bars."""
    if answer.sessions:
        console.print(_sessions(answer.sessions, has_whole_ids=console.width >= _WIDE_COLUMNS))
    if answer.total:
        console.print(_figures(answer, console))
    counts = ", ".join(f"{count} {outcome.value}" for outcome, count in answer.outcomes.items() if count)
    _say(f"{answer.message}{': ' if counts else ''}{counts} (from {source})", console)
    if answer.next is not None:
        _say(f"There are more: --cursor {answer.next}", console)
    if answer.problem is not None:
        _say(f"The latest may be missing: {answer.problem}", console)


def _say(text: str, console: Console) -> None:
    """Print a line as it is, so that a path or a cursor in it can be copied."""
    console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)


def _sessions(sessions: list[HistoryEntry], *, has_whole_ids: bool) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("ended", "session", "profile", "outcome", "reason"):
        table.add_column(heading)
    for heading in ("created in", "live for", "memory"):
        table.add_column(heading, justify="right")
    for one in sessions:
        reason = one.end_reason.value + (f" ({one.error})" if one.error else "")
        left = f", left: {', '.join(one.left)}" if one.left else ""
        table.add_row(
            f"{one.ended_at.astimezone():%Y-%m-%d %H:%M:%S}",
            escape(one_line(one.id if has_whole_ids else one.id[:8])),
            escape(one_line(one.profile)),
            one.outcome.value,
            escape(one_line(reason + left + (", bundle" if one.bundle else ""))),
            _seconds(one.creation_ms),
            _seconds(one.phase_ms.get(SessionState.LIVE.value)),
            in_words(one.peak_memory_bytes) if one.peak_memory_bytes is not None else "-",
        )
    return table


def _figures(answer: HistoryAnswer, console: Console) -> Table:
    has_bars = console.is_terminal and not console.options.ascii_only
    table = Table(box=SIMPLE_HEAD)
    table.add_column("phase")
    for heading in ("sessions", "p50", "p90", "p99"):
        table.add_column(heading, justify="right")
    if has_bars:
        table.add_column("p50", width=_BAR_COLUMNS)
    rows = list(_rows(answer))
    widest = max((found.p50 for name, found in rows if name not in _CHOSEN), default=0)
    for name, found in rows:
        times = (_seconds(found.p50), _seconds(found.p90), _seconds(found.p99))
        bars: list[RenderableType] = []
        if has_bars:
            is_shown = widest and name not in _CHOSEN
            bars.append(Bar(widest, 0, found.p50, width=_BAR_COLUMNS, color="green") if is_shown else "")
        table.add_row(escape(one_line(name)), str(found.count), *times, *bars)
    return table


def _rows(answer: HistoryAnswer) -> Iterator[tuple[str, Percentiles]]:
    if answer.creation_ms is not None:
        yield "creation", answer.creation_ms
    yield from answer.phase_ms.items()


def _seconds(ms: int | None) -> str:
    return "-" if ms is None else f"{ms / 1000:.2f} s"
