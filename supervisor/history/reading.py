"""Reads the history: pages of sessions, and figures on all that a filter lets through."""

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import msgspec

from greenroom.actors.errors import HistoryUnavailable
from greenroom.supervisor.history.entry import EndedSession, Outcome
from greenroom.supervisor.history.file import open_read_only
from greenroom.supervisor.history.filters import HistoryFilter, Position
from greenroom.supervisor.history.rows import entry_in
from greenroom.supervisor.history.schema import PHASES, VERSION, NewerSchema, version_of

_numbers = msgspec.json.Decoder(list[int])


@attrs.frozen(kw_only=True)
class Page:
    """Some sessions, the last to end first, and where the next page begins; None after the last."""

    sessions: tuple[EndedSession, ...]
    after: Position | None


@attrs.frozen(kw_only=True)
class Percentiles:
    """Of how many sessions, and the milliseconds that 50, 90 and 99 % of them took at most."""

    count: int
    p50: int
    p90: int
    p99: int


@attrs.frozen(kw_only=True)
class Summary:
    """Figures on sessions: how many, what came of them, and how long their parts took.

    `creation_ms` is None if none was live. `phase_ms` has the phases that any of them was in, in order.
    """

    total: int
    outcomes: Mapping[Outcome, int]
    creation_ms: Percentiles | None
    phase_ms: Mapping[str, Percentiles]


def read_history(
    path: Path, wanted: HistoryFilter, after: Position | None, limit: int
) -> tuple[Page, Summary]:
    """Return up to `limit` sessions of a filter from a position on, and figures on all of the filter.

    Both are of the same moment. Raises `HistoryUnavailable`. Blocks: with 100,000 sessions for 0.8 s of CPU,
    most of it in SQLite, while other threads go on.
    """
    with _opened(path) as connection:
        return _read_page(connection, wanted, after, limit), _read_summary(connection, wanted)


def read_page(path: Path, wanted: HistoryFilter, after: Position | None, limit: int) -> Page:
    """Return the same without the figures. Blocks for milliseconds. Raises `HistoryUnavailable`."""
    with _opened(path) as connection:
        return _read_page(connection, wanted, after, limit)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a history to read it as of one moment; None if no session has been written yet."""
    with _explained(), contextlib.ExitStack() as stack:
        if not path.exists():
            yield None
            return
        connection = stack.enter_context(contextlib.closing(open_read_only(path)))
        connection.isolation_level = None
        connection.execute("BEGIN")
        version = version_of(connection)
        if version not in {0, VERSION}:
            raise HistoryUnavailable("An older Greenroom has written it: run `greenroom serve` once")
        yield connection if version else None  # it is just being made


def _read_page(
    connection: sqlite3.Connection | None, wanted: HistoryFilter, after: Position | None, limit: int
) -> Page:
    if connection is None:
        return Page(sessions=(), after=None)
    condition, parameters = wanted.as_sql()
    if after is not None:
        condition += " AND (ended_us, number) < (?, ?)"
        parameters += (after.ended_us, after.number)
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute(
        f"SELECT * FROM ended WHERE {condition}"  # noqa: S608  # the values are parameters
        " ORDER BY ended_us DESC, number DESC LIMIT ?",
        (*parameters, limit + 1),
    ).fetchall()
    last = Position(rows[limit - 1]["ended_us"], rows[limit - 1]["number"]) if len(rows) > limit else None
    return Page(sessions=tuple(map(entry_in, rows[:limit])), after=last)


def _read_summary(connection: sqlite3.Connection | None, wanted: HistoryFilter) -> Summary:
    """Return the figures. SQLite does what takes long: Python would keep all other threads from going on."""
    outcomes = dict.fromkeys(Outcome, 0)
    if connection is None:
        return Summary(total=0, outcomes=outcomes, creation_ms=None, phase_ms={})
    condition, parameters = wanted.as_sql()
    counts = connection.execute(
        f"SELECT outcome, count(*) FROM ended WHERE {condition} GROUP BY outcome",  # noqa: S608  # likewise
        parameters,
    )
    outcomes |= {Outcome(outcome): count for outcome, count in counts}
    creation, *phases = (
        _percentiles(_times(connection, f"{name}_ms", condition, parameters))
        for name in ("creation", *PHASES)
    )
    return Summary(
        total=sum(outcomes.values()),
        outcomes=outcomes,
        creation_ms=creation,
        phase_ms={phase: found for phase, found in zip(PHASES, phases, strict=True) if found is not None},
    )


def _times(
    connection: sqlite3.Connection, column: str, condition: str, parameters: tuple[str | int, ...]
) -> list[int]:
    """Return the values of a column, in order. They come as one text: fetching rows is slow."""
    condition += f" AND typeof({column}) = 'integer'"
    values = f"SELECT {column} AS ms FROM ended WHERE {condition} ORDER BY ms"  # noqa: S608  # likewise
    ((found,),) = connection.execute(f"SELECT json_group_array(ms) FROM ({values})", parameters)  # noqa: S608
    return sorted(_numbers.decode(found))


def _percentiles(ordered: list[int]) -> Percentiles | None:
    """Return percentiles by nearest rank: each is one of the values."""
    if not ordered:
        return None

    def rank(percent: int) -> int:
        return ordered[math.ceil(percent * len(ordered) / 100) - 1]

    return Percentiles(count=len(ordered), p50=rank(50), p90=rank(90), p99=rank(99))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Raise what goes wrong in the block as `HistoryUnavailable`."""
    try:
        yield
    except OSError as exc:
        raise HistoryUnavailable(f"The history can't be read: {exc.strerror}") from exc
    except (NewerSchema, sqlite3.Error) as exc:
        raise HistoryUnavailable(f"The history can't be read: {exc}") from exc
    except (ValueError, msgspec.MsgspecError) as exc:
        raise HistoryUnavailable("The history has what this version does not know", detail=str(exc)) from exc
