"""Shows what the running daemon has and does: `greenroom status`."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from greenroom.actors.lifecycle import ProfileInfo, ProfileMode
from greenroom.supervisor.self_check import Condition
from greenroom.web.client import ApiError, AsyncClient
from greenroom.web.http.schemas import Leaks, OverviewAnswer, Session
from greenroom.web.terminal import one_line

REFRESH_S: Final = 2.0
# A survey of what is owned takes longer than all the rest.
_LEAKS_EVERY: Final = 15
_STYLES: Final = {Condition.OK: "green", Condition.PROBLEM: "red", Condition.UNKNOWN: "yellow"}


class Status(msgspec.Struct, kw_only=True):
    """The daemon at `url`. `sessions` counts those that were asked for, by their states."""

    url: str
    sessions: dict[str, int]
    overview: OverviewAnswer
    profiles: tuple[ProfileInfo, ...]
    leaks: Leaks | None
    """None if the token does not show them."""


async def show_status(
    client: AsyncClient, url: str, console: Console, *, as_json: bool = False, watch: bool = False
) -> None:
    """Print the status of the daemon at `url`; with `watch`, again whenever it has changed, for ever.

    On a terminal, it stays in place. In JSON, each status is one line. Raises `ClientError`.
    """
    if not watch:
        _print(await _ask(client, url), console, as_json)
    elif as_json or not console.is_terminal:
        await _print_changes(client, url, console, as_json)
    else:
        await _keep_live(client, url, console)


async def _ask(client: AsyncClient, url: str, leaks: Leaks | None = None) -> Status:
    overview = await client.overview()
    return Status(
        url=url,
        sessions=dict(Counter(session.state.value for session in overview.sessions)),
        overview=overview,
        profiles=await client.profiles(),
        leaks=leaks or await _ask_leaks(client),
    )


async def _ask_leaks(client: AsyncClient) -> Leaks | None:
    try:
        return await client.leaks()
    except ApiError as exc:  # a token for some profiles does not show them
        if exc.code != "NOT_ALLOWED":
            raise
        return None


async def _print_changes(client: AsyncClient, url: str, console: Console, as_json: bool) -> None:
    shown = ""
    status = await _ask(client, url)
    for turn in itertools.count(1):
        if (text := _summary(status)) != shown:
            shown = text
            _print(status, console, as_json)
        await trio.sleep(REFRESH_S)
        status = await _again(client, status, turn)


async def _keep_live(client: AsyncClient, url: str, console: Console) -> None:
    status = await _ask(client, url)
    with Live(console=console, auto_refresh=False) as live:
        for turn in itertools.count(1):
            live.update(_render(status), refresh=True)
            await trio.sleep(REFRESH_S)
            status = await _again(client, status, turn)


async def _again(client: AsyncClient, last: Status, turn: int) -> Status:
    return await _ask(client, last.url, last.leaks if turn % _LEAKS_EVERY else None)


def _summary(status: Status) -> str:
    """Return what makes a status another one: not the time that passes, nor how much memory is in use."""
    overview = status.overview
    return repr(
        (
            [(one.id, one.state, one.login_state, one.control, one.expires_at) for one in overview.sessions],
            len(overview.warm),
            [(subject, check.health, check.problem) for subject, check in overview.checks.items()],
            status.profiles,
            status.leaks and status.leaks.leaked,
        )
    )


def _print(status: Status, console: Console, as_json: bool) -> None:
    if as_json:  # in ASCII: nobody's name can move the cursor
        plain = json.dumps(json.loads(msgspec.json.encode(status)))
        console.print(plain, soft_wrap=True, markup=False, highlight=False)
    else:
        console.print(_render(status))


def _render(status: Status) -> RenderableType:
    return Group(*_parts(status, datetime.now(UTC)))


def _parts(status: Status, now: datetime) -> Iterator[RenderableType]:
    overview = status.overview
    yield Text(f"Greenroom at {status.url}: {overview.engine}, sandbox {overview.sandbox}\n", "bold")
    checks = _table("check", "", "")
    for subject, check in overview.checks.items():
        word = Text(check.health.value, _STYLES[check.health])
        checks.add_row(subject.value, word, _cell(check.problem or ""))
    yield checks
    states = ", ".join(f"{count} {state}" for state, count in status.sessions.items())
    hosts = "browser host" if len(overview.hosts) == 1 else "browser hosts"
    yield Text(
        f"\n{len(overview.sessions)} of {overview.max_sessions} sessions"
        f"{f': {states}' if states else ''}; {len(overview.warm)} warm; {len(overview.hosts)} {hosts}\n"
    )
    if overview.sessions:
        sessions = _table("session", "state", "profile", "login", "ends in", "memory", "control")
        for session in overview.sessions:
            sessions.add_row(*map(_cell, _session_row(session, now)))
        yield sessions
        yield Text()
    profiles = _table("profile", "login", "expires", "in use by")
    for profile in status.profiles:
        profiles.add_row(*map(_cell, _profile_row(profile, now)))
    yield profiles
    if status.leaks is None:
        return
    leaked = status.leaks.leaked
    parts = ", ".join(
        f"{len(getattr(leaked, what))} {what}" for what in ("processes", "directories", "entries")
    )
    yield Text("\nNothing is leaked") if leaked.is_empty else Text(f"\nLeaked: {parts}", "red")


def _session_row(session: Session, now: datetime) -> tuple[str, ...]:
    return (
        session.id,
        session.state.value,
        session.profile + (" (write)" if session.profile_mode is ProfileMode.WRITE else ""),
        session.login_state.value if session.login_state else "",
        _until(session.expires_at, now) if session.expires_at else "",
        f"{session.usage.memory_bytes / 1e6:.0f} MB" if session.usage else "",
        session.control.by if session.control else "programs",
    )


def _profile_row(profile: ProfileInfo, now: datetime) -> tuple[str, ...]:
    expires = ""
    if profile.login_expires_at is not None:
        expires = f"{profile.login_expires_at:%Y-%m-%d %H:%M} UTC ({_until(profile.login_expires_at, now)})"
    return (
        profile.name,
        profile.problem or ", ".join(profile.login) or "none",
        expires,
        profile.holder.program if profile.holder else "",
    )


def _until(then: datetime, now: datetime) -> str:
    """Return how long it is until `then`, in two units at most."""
    seconds = round((then - now).total_seconds())
    if seconds < 0:
        return "over"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60:02} s" if minutes else f"{seconds} s"


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading)
    return table


def _cell(text: str) -> Text:
    return Text(one_line(text))
