"""`greenroom session` against a real daemon, with a fake machine."""

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from greenroom.actors.actions.actions import Click, Type
from greenroom.actors.errors import ActionFailed
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.web.cli import main
from greenroom.web.client import ApiError, AsyncClient, Client, DaemonUnreachable
from greenroom.web.commands.attaching import node_program, python_program
from greenroom.web.commands.sessions import Refused, read_action, session_at, token_of
from greenroom.web.settings import DaemonSettings, load_settings
from tests.web.http.front import Front, open_front

GREENROOM = str(Path(sys.executable).with_name("greenroom"))


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front on which sessions succeed at once."""
    async with open_front(FakeMachine(value="done")) as opened:
        yield opened


async def test_session_is_created_used_and_ended_from_the_command_line(front: Front, tmp_path: Path) -> None:
    """Each command prints what a script needs, and nothing else."""

    async def run(*words: str) -> str:
        command = [GREENROOM, "session", "--url", front.url, *words]
        done = await trio.run_process(command, capture_stdout=True)
        return done.stdout.decode().strip()

    session_id = await run("new")
    assert set(front.machine.browsers) == {session_id}
    acted = json.loads(await run("act", session_id, "type", "target=#q", "text=Hello"))
    assert (acted["result"]["kind"], acted["result"]["value"], acted["page"]) == ("type", "done", "p1")
    assert front.machine.browsers[session_id].performed == [Type(target="#q", text="Hello")]
    picture = tmp_path / "page.jpg"
    await run("screenshot", session_id, "-o", str(picture))
    assert picture.read_bytes() == front.machine.picture
    await run("end", session_id)
    assert front.machine.browsers == {}


async def test_address_for_playwright_is_printed_or_a_program_that_uses_it(front: Front) -> None:
    """The program takes the token from where the settings do, if there is one."""
    session_id = (await front.establish()).rpartition("/")[2]

    async def run(*words: str, **env: str) -> str:
        command = [GREENROOM, "session", "--url", front.url, "attach", session_id, *words]
        done = await trio.run_process(command, capture_stdout=True, env={**os.environ, **env})
        return done.stdout.decode()

    address = f"{front.url.replace('http', 'ws', 1)}/tiktok/session/{session_id}/playwright"
    assert await run() == f"{address}\n"
    assert await run("--node") == node_program(address, has_token=False)
    with_token = await run("--python", GREENROOM_TOKEN="correct-horse-battery")
    assert with_token == python_program(address, has_token=True)
    for program, line in (
        (with_token, f'ADDRESS = "{address}"'),
        (node_program(address, has_token=True), f'const address = "{address}";'),
    ):
        assert line in program.splitlines()
        assert "GREENROOM_TOKEN" in program
    for make in (python_program, node_program):
        assert "GREENROOM_TOKEN" not in make(address, has_token=False)
    await front.supervisor.end_session(session_id)
    command = [GREENROOM, "session", "--url", front.url, "attach", session_id]
    done = await trio.run_process(command, capture_stderr=True, check=False)
    assert (done.returncode, b"ended" in done.stderr) == (1, True)


async def test_sessions_are_listed_and_shown(front: Front) -> None:
    """With what the daemon knows of them."""
    none = await trio.run_process(
        [GREENROOM, "session", "--url", front.url, "list"], capture_stdout=True, capture_stderr=True
    )
    assert (none.stdout, b"There is no session" in none.stderr) == (b"", True)
    session_id = (await front.establish()).rpartition("/")[2]

    async def run(*words: str) -> str:
        command = [GREENROOM, "session", "--url", front.url, *words]
        return (await trio.run_process(command, capture_stdout=True)).stdout.decode()

    assert (await run("list")).split()[:2] == [session_id, "live"]
    shown = json.loads(await run("show", session_id))
    assert (shown["id"], shown["state"]) == (session_id, "live")


async def test_refusal_says_why_in_one_line(front: Front) -> None:
    """With the hint, if there is one. What a page says can't move the cursor."""
    async with AsyncClient(front.url) as client:
        session = client.session(await client.create())
        front.machine.action_error = ActionFailed("no", told="an \x1b[2J error")
        with pytest.raises(ApiError, match="The page could not do this: an  \\[2J error"):
            await session.do(Click(target="e1"))
        front.machine.page = LoginState.LOGGED_OUT
        with pytest.raises(ApiError, match="run greenroom login"):
            await client.create()


def test_what_is_no_sessions_id_is_refused() -> None:
    """Nothing is asked of the daemon: it could lead to another path."""
    with Client("http://127.0.0.1:1") as client:
        for wrong in ("../health", "", "a/b"):
            with pytest.raises(Refused, match="no session's id"):
                session_at(client, wrong)


def test_daemon_that_is_not_there_is_named() -> None:
    """The exit code is 1."""
    with Client("http://127.0.0.1:1") as client, pytest.raises(DaemonUnreachable, match="No daemon answers"):
        client.sessions()
    result = CliRunner().invoke(main, ["session", "--url", "http://127.0.0.1:1", "new"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No daemon answers" in result.stderr
    assert "`greenroom serve` starts one" in result.stderr


async def test_token_of_the_settings_is_sent() -> None:
    """Without it the daemon refuses."""
    token = "correct-horse-battery"
    async with open_front(token=token) as front:
        command = [GREENROOM, "session", "--url", front.url, "list"]
        refused = await trio.run_process(command, capture_stderr=True, check=False)
        assert (refused.returncode, b"(set GREENROOM_TOKEN" in refused.stderr) == (1, True)
        env = {**os.environ, "GREENROOM_TOKEN": token}
        assert (await trio.run_process(command, capture_stdout=True, env=env)).stdout == b""


def test_token_of_commands_may_be_another_than_the_daemons(monkeypatch: pytest.MonkeyPatch) -> None:
    """GREENROOM_TOKEN would make the token that somebody has an operator's, where a daemon is started."""
    settings = DaemonSettings(token="the-daemon-s-own-token")
    assert token_of(settings) == "the-daemon-s-own-token"
    monkeypatch.setenv("GREENROOM_CLIENT_TOKEN", "another-token-of-a-client")
    assert token_of(settings) == "another-token-of-a-client"
    assert token_of(DaemonSettings()) == "another-token-of-a-client"
    assert load_settings().token is None


def test_words_become_an_action() -> None:
    """A value is JSON if it can be, and text otherwise; one word of JSON is an action as it is."""
    assert read_action(["click", "target=e5", "double=true"]) == {
        "kind": "click",
        "target": "e5",
        "double": True,
    }
    assert read_action(["evaluate", "expression=a == b", 'arg={"x": 1}'])["arg"] == {"x": 1}
    assert read_action(['{"kind": "back"}']) == {"kind": "back"}
    assert Click(target="e5").target == read_action(["click", "target=e5"])["target"]
    with pytest.raises(ValueError, match="field=value"):
        read_action(["click", "e5"])
    with pytest.raises(ValueError, match="Expecting"):
        read_action(["{"])


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b"\xff", b"[" * 5000])
async def test_something_else_on_the_port_is_named(body: bytes) -> None:
    """No traceback."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def answer(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            await stream.send_all(head + body)

        nursery.start_soon(trio.serve_listeners, answer, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with AsyncClient(f"http://127.0.0.1:{port}", retry_for_s=0) as client:
            session = client.session("a")
            for ask in (client.create, client.sessions, session.info, session.act, session.playwright):
                with pytest.raises(DaemonUnreachable, match="no Greenroom daemon"):
                    await ask()
        nursery.cancel_scope.cancel()
