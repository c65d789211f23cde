"""`greenroom status` on a real daemon with a fake machine."""

import io
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner
from rich.console import Console

from greenroom.actors.lifecycle import ProfileInfo
from greenroom.actors.testing import FakeMachine
from greenroom.client import AsyncClient, DaemonUnreachable
from greenroom.supervisor.secret import Secret
from greenroom.web.cli import main
from greenroom.web.commands import status
from greenroom.web.commands.status import show_status
from greenroom.web.console import make_console
from greenroom.web.http.tokens import Scope, Token
from tests.patience import patience
from tests.web.http.front import open_front, until

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
PATIENCE_S = patience(20)


def shop() -> ProfileInfo:
    """Return a profile whose login ends in three days and two hours."""
    expires_at = datetime.now(UTC) + timedelta(days=3, hours=2, minutes=30)
    return ProfileInfo(name="shop", login=("sessionid",), login_expires_at=expires_at)


async def test_status_shows_checks_sessions_profiles_and_leaks() -> None:
    """As text; no markup in a name counts."""
    machine = FakeMachine(known=(ProfileInfo(name="default", problem="[red]is\x1b[2J gone"), shop()))
    async with open_front(machine, max_sessions=3) as front, AsyncClient(front.url) as client:
        session_id = await client.create()
        out = io.StringIO()
        await show_status(client, front.url, make_console(out))
    shown = out.getvalue()
    assert f"Greenroom at {front.url}: fake 1, sandbox none" in shown
    assert "1 of 3 sessions: 1 live; 0 warm; 1 browser host\n" in shown
    [row] = [line for line in shown.splitlines() if session_id in line]
    assert row.split()[1:4] == ["live", "default", "LOGGED_IN"]
    assert "[red]is [2J gone" in shown
    [row] = [line for line in shown.splitlines() if line.startswith("shop")]
    assert row.endswith("UTC (3 d 2 h)")
    assert "Nothing is leaked" in shown
    assert "site" in shown


async def test_status_in_json_is_one_line() -> None:
    """With all that the daemon says."""
    async with open_front(FakeMachine(known=(shop(),))) as front, AsyncClient(front.url) as client:
        session_id = await client.create()
        out = io.StringIO()
        await show_status(client, front.url, make_console(out), as_json=True)
    [line] = out.getvalue().splitlines()
    found = json.loads(line)
    assert (found["url"], found["sessions"]) == (front.url, {"live": 1})
    assert found["overview"]["sessions"][0]["id"] == session_id
    assert (found["profiles"][0]["name"], found["leaks"]["leaked"]["bytes"]) == ("shop", 0)


async def test_token_for_some_profiles_gets_a_status_without_leaks() -> None:
    """They are of all profiles."""
    shops = Token(
        name="shops", secret=Secret("secret-of-the-shops"), scope=Scope.READ, profiles=frozenset({"shop"})
    )
    machine = FakeMachine(known=(ProfileInfo(name="default"), shop()))
    out = io.StringIO()
    async with (
        open_front(machine, tokens=[shops]) as front,
        AsyncClient(front.url, shops.secret.reveal()) as client,
    ):
        await show_status(client, front.url, make_console(out))
        assert "\nshop " in out.getvalue()
        assert "leaked" not in out.getvalue()
        await show_status(client, front.url, make_console(out), as_json=True)
    assert json.loads(out.getvalue().splitlines()[-1])["leaks"] is None


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
async def test_watched_status_is_shown_again_when_it_changes(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    """On a terminal in place; elsewhere only what is new, as plain text."""
    monkeypatch.setattr(status, "REFRESH_S", 0.01)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200) if is_terminal else make_console(out)
    async with (
        open_front() as front,
        AsyncClient(front.url) as client,
        trio.open_nursery() as nursery,
    ):

        async def watch() -> None:
            await show_status(client, front.url, console, watch=True)

        nursery.start_soon(watch)
        await until(lambda: "0 of 10 sessions" in out.getvalue())
        session_id = await client.create()
        await until(lambda: session_id in out.getvalue())
        nursery.cancel_scope.cancel(reason="seen")
    assert ("\x1b" in out.getvalue()) == is_terminal


def test_daemon_that_is_not_there_is_named_with_what_starts_one() -> None:
    """On standard error, with exit code 1."""
    result = CliRunner().invoke(main, ["status", "--url", "http://127.0.0.1:1"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No daemon answers at http://127.0.0.1:1" in result.stderr
    assert "`greenroom serve` starts one" in result.stderr


async def test_daemon_that_ends_while_it_is_watched_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr(status, "REFRESH_S", 0.01)
    out = io.StringIO()
    async with trio.open_nursery() as nursery, open_front() as front:

        async def watch() -> None:
            async with AsyncClient(front.url, retry_for_s=0) as client:
                with pytest.raises(DaemonUnreachable, match="No daemon answers"):
                    await show_status(client, front.url, make_console(out), watch=True)

        nursery.start_soon(watch)
        await until(lambda: "leaked" in out.getvalue())


async def test_ctrl_c_ends_the_watch_without_a_complaint() -> None:
    """It is how it ends."""
    async with open_front() as front, trio.open_nursery() as nursery:
        run = partial(trio.run_process, [GREENROOM, "status", "--watch", "--url", front.url])
        process = await nursery.start(partial(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        with trio.fail_after(PATIENCE_S):
            shown = b""
            while b"leaked" not in shown:
                shown += await process.stdout.receive_some()
            process.send_signal(signal.SIGINT)
            complaints = b"".join([data async for data in process.stderr])
            assert (await process.wait(), complaints) == (0, b"")
