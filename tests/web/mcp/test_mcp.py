"""`greenroom mcp`: its tools, called by a real client, on a real daemon with a fake machine."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mcp
import pytest
import trio
from click.testing import CliRunner
from mcp.client.streamable_http import (  # type: ignore[attr-defined]  # it is re-exported silently
    create_mcp_http_client,
    streamable_http_client,
)
from mcp.types import CallToolResult, ImageContent, TextContent
from structlog.testing import capture_logs

from greenroom.actors.actions.actions import Click, Navigate, Operation, PageNew, Press
from greenroom.actors.actions.readings import Snapshot
from greenroom.actors.errors import ActionFailed, StaleRef
from greenroom.actors.lifecycle import EndReason, ProfileMode
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.client import AsyncClient, AsyncRemoteSession, DaemonUnreachable
from greenroom.supervisor.secret import Secret
from greenroom.web.cli import main
from greenroom.web.http.tokens import Scope, Token
from greenroom.web.mcp.server import open_server
from greenroom.web.mcp.tools import all_tools
from tests.patience import patience
from tests.web.http.front import Front, open_front

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
PATIENCE_S = patience(20)
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
# What people know from Playwright's server, as far as a session has it.
KNOWN = {
    *("browser_navigate", "browser_navigate_back", "browser_snapshot", "browser_click", "browser_type"),
    *("browser_press_key", "browser_take_screenshot", "browser_wait_for", "browser_evaluate", "browser_tabs"),
    *("browser_select_option", "browser_hover", "browser_drag", "browser_fill_form", "browser_handle_dialog"),
    *("browser_console_messages", "browser_network_requests"),
}


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front on which sessions succeed at once."""
    async with open_front(FakeMachine(value="done")) as opened:
        yield opened


@asynccontextmanager
async def connected(front: Front) -> AsyncIterator[mcp.Client]:
    """A client of a server in this process."""
    with trio.fail_after(PATIENCE_S):
        async with (
            AsyncClient(front.url, retry_for_s=0) as client,
            open_server(client) as server,
            mcp.Client(server) as connection,
        ):
            yield connection


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def done_in(front: Front, session_id: str) -> list[Operation]:
    """Return what was done in a session, without what only reads."""
    return [step for step in front.machine.browsers[session_id].performed if not isinstance(step, Snapshot)]


async def said(client: mcp.Client, name: str, **arguments: Any) -> str:
    """Call a tool that works; return what it says."""
    result = await client.call_tool(name, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


async def refused(client: mcp.Client, name: str, **arguments: Any) -> str:
    """Call a tool that fails; return what it says."""
    result = await client.call_tool(name, arguments)
    assert result.is_error
    return text_of(result)


async def test_session_is_used_over_standard_input_and_output(front: Front) -> None:
    """By a program that starts the command. When it hangs up, the session that it made has ended."""
    parameters = mcp.StdioServerParameters(command=GREENROOM, args=["mcp", "--url", front.url])
    with trio.fail_after(PATIENCE_S):
        async with mcp.Client(mcp.stdio_client(parameters)) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert tools > KNOWN
            assert "is live until" in await said(client, "session_new")
            [session_id] = front.machine.browsers
            clicked = await said(client, "browser_click", target="e1")
            assert 'Result: "done"' in clicked
            assert "<p>a page" in clicked
            assert done_in(front, session_id) == [Click(target="e1")]
            assert session_id in await said(client, "session_list")
    assert front.machine.browsers == {}


async def test_signal_ends_the_command_and_its_sessions(front: Front) -> None:
    """Although it waits for its standard input."""
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": HELLO},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "session_new", "arguments": {}}},
    ]
    run = partial(trio.run_process, [GREENROOM, "mcp", "--url", front.url])
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        with trio.fail_after(PATIENCE_S):
            for message in messages:
                await process.stdin.send_all(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            answers = b""
            while answers.count(b"\n") < 2:
                answers += await process.stdout.receive_some()
            assert len(front.machine.browsers) == 1
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    assert front.machine.browsers == {}
    assert [event.session.reason for event in front.events if event.session.receipt] == [EndReason.DELETED]


async def test_tools_do_what_their_names_say(front: Front) -> None:
    """With the fields of the API's own actions, in the session that was used last or is named."""
    async with connected(front) as client:
        await said(client, "session_new", profile="default", write=True)
        [session_id] = front.machine.browsers
        assert front.machine.uses[session_id].mode is ProfileMode.WRITE
        await said(client, "browser_navigate", url="http://127.0.0.1/", session=session_id)
        await said(client, "browser_press_key", key="Enter")
        await said(client, "browser_tabs", action="new", url="http://127.0.0.1/b")
        assert done_in(front, session_id) == [
            Navigate(url="http://127.0.0.1/"),
            Press(key="Enter"),
            PageNew(url="http://127.0.0.1/b"),
        ]
        assert "```yaml\n<!doctype html><p>a page\n```" in await said(client, "browser_snapshot", depth=3)
        [picture] = (await client.call_tool("browser_take_screenshot", {"type": "jpeg"})).content
        assert isinstance(picture, ImageContent)
        assert (picture.data, picture.mime_type) == ("YSBwaWN0dXJl", "image/jpeg")
        extended = await said(client, "session_extend", seconds=60)
        assert re.fullmatch(r"The session lives until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.", extended)
        assert f"{session_id} live" in await said(client, "session_list")
        assert "has ended" in await said(client, "session_end")
        assert "There is no session" in await said(client, "session_list")


async def test_sessions_of_others_are_used_and_left_alone(front: Front) -> None:
    """Only those that were made here end with the connection."""
    theirs = (await front.establish()).rpartition("/")[2]
    async with connected(front) as client:
        await said(client, "browser_click", target="e1", session=theirs)
        await said(client, "browser_hover", target="e1")
        assert len(done_in(front, theirs)) == 2
    assert set(front.machine.browsers) == {theirs}


async def test_what_goes_wrong_is_an_error_with_what_to_do(front: Front) -> None:
    """With the code, the hint, and the fresh snapshot for a ref that is no longer valid."""
    async with connected(front) as client:
        assert "session_new makes one" in await refused(client, "browser_snapshot")
        front.machine.page = LoginState.LOGGED_OUT
        assert "run greenroom login" in await refused(client, "session_new")
        front.machine.page = LoginState.LOGGED_IN
        await said(client, "session_new")
        missing = await refused(client, "browser_click")
        assert "INVALID_REQUEST" in missing
        assert "missing required field `target`" in missing
        assert "$" not in missing
        assert (await refused(client, "browser_click", target=3)).endswith("- at `target`")
        assert (await refused(client, "session_extend", seconds="x")).endswith("- at `seconds`")
        assert "no session's id" in await refused(client, "browser_click", target="e1", session="../leaks")
        assert "no tool" in await refused(client, "browser_fly")
        assert "list, new, select, close" in await refused(client, "browser_tabs", action="hide")
        assert "unknown field" in await refused(client, "browser_take_screenshot", fullPage=True)
        front.machine.action_error = stale = StaleRef("no such ref")
        stale.snapshot = "- a fresh one"
        answer = await refused(client, "browser_click", target="e9")
        assert answer.startswith("STALE_REF: ")
        assert "- a fresh one" in answer
        front.machine.action_error = ActionFailed("no", told="it is behind another element")
        assert "it is behind another element" in await refused(client, "browser_click", target="e1")
        [session_id] = front.machine.browsers
        await front.supervisor.end_session(session_id)
        assert "ended as deleted: session_new" in await refused(client, "browser_hover", target="e1")


async def test_session_that_is_not_there_is_not_the_one_used_last(front: Front) -> None:
    """Whoever mistypes an id once still has the session before."""
    async with connected(front) as client:
        await said(client, "session_new")
        other = (await said(client, "session_new")).split()[1]
        assert "SESSION_NOT_FOUND" in await refused(client, "browser_click", target="e1", session="mistyped")
        assert "SESSION_NOT_FOUND" in await refused(client, "session_end", session="mistyped")
        assert "Page p1 (selected): " in await said(client, "browser_click", target="e1")
        assert done_in(front, other) == [Click(target="e1")]


async def test_session_whose_end_fails_ends_with_the_connection(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is still one of those that were made here."""
    ends: list[str] = []

    async def end(session: AsyncRemoteSession) -> None:
        ends.append(session.id)
        raise DaemonUnreachable("The line broke")

    async with connected(front) as client:
        await said(client, "session_new")
        [session_id] = front.machine.browsers
        with monkeypatch.context() as patched:
            patched.setattr(AsyncRemoteSession, "end", end)
            assert "The line broke" in await refused(client, "session_end")
    assert (ends, front.machine.browsers) == ([session_id], {})


async def test_person_who_has_control_is_named(front: Front) -> None:
    """Tools are programs: they may read, and act again once control is given back."""
    async with connected(front) as client:
        await said(client, "session_new")
        [session_id] = front.machine.browsers
        taken = {"holder": "human", "name": "Ada"}
        answer = await front.client.post(f"/tiktok/session/{session_id}/control", json=taken)
        assert answer.status_code == 200
        assert "Ada" in await refused(client, "browser_click", target="e1")
        assert "Snapshot" in await said(client, "browser_snapshot")
        await front.client.post(f"/tiktok/session/{session_id}/control", json={"holder": "programs"})
        await said(client, "browser_click", target="e1")


async def test_daemon_that_is_not_there_is_an_error() -> None:
    """The connection goes on: it may come."""
    async with (
        AsyncClient("http://127.0.0.1:1", retry_for_s=0) as client,
        open_server(client) as server,
        mcp.Client(server) as connection,
    ):
        assert "`greenroom serve` starts one" in await refused(connection, "session_list")


def test_tools_say_what_they_take() -> None:
    """Each has a description, and schemas that stand alone."""
    for tool in all_tools():
        assert tool.description
        schema = json.dumps(tool.input_schema)
        assert '"kind"' not in schema
        for name in schema.split('"#/$defs/')[1:]:
            assert name.partition('"')[0] in tool.input_schema["$defs"]
    by_name = {tool.name: tool for tool in all_tools()}
    assert by_name["browser_click"].input_schema["required"] == ["target"]
    assert set(by_name["browser_type"].input_schema["properties"]) >= {"target", "text", "submit", "session"}


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Greenroom itself does without the SDK."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "mcp" or "web.mcp" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    result = CliRunner().invoke(main, ["mcp"])
    assert (result.exit_code, "pip install 'greenroom[mcp]'" in result.stderr) == (1, True)


# Over HTTP


@asynccontextmanager
async def connected_over_http(url: str, token: str | None = None) -> AsyncIterator[mcp.Client]:
    """A client of the daemon's own server."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with trio.fail_after(PATIENCE_S):
        async with (
            create_mcp_http_client(headers) as http,
            mcp.Client(streamable_http_client(f"{url}/mcp", http_client=http)) as connection,
        ):
            yield connection


async def test_session_is_used_over_http(front: Front) -> None:
    """Without any other program. Nothing ends with the connection, since there is none that lasts."""
    async with connected_over_http(front.url) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {t.name for t in all_tools()}
        assert await refused(client, "browser_snapshot") == "There is no session: session_new makes one"
        session_id = (await said(client, "session_new")).split()[1]
        await said(client, "browser_click", target="#a")
        other = (await said(client, "session_new")).split()[1]
        assert "several sessions" in await refused(client, "browser_click", target="#b")
        await said(client, "browser_click", target="#b", session=other)
        await said(client, "session_end", session=other)
    async with connected_over_http(front.url) as again:
        assert session_id in await said(again, "session_list")
    assert done_in(front, session_id) == [Click(target="#a")]
    assert len(await front.supervisor.list_sessions()) == 1


async def test_tools_over_http_have_the_rights_of_their_token() -> None:
    """Each call is a request of its own with that token, and is refused and logged as such."""
    reader = Token(name="reader", secret=Secret("secret-of-the-reader"), scope=Scope.READ)
    worker = Token(name="worker", secret=Secret("secret-of-the-worker"), scope=Scope.CONTROL)
    async with open_front(tokens=(reader, worker)) as front:
        with capture_logs() as logs:
            async with connected_over_http(front.url, worker.secret.reveal()) as client:
                session_id = (await said(client, "session_new")).split()[1]
            async with connected_over_http(front.url, reader.secret.reveal()) as client:
                assert session_id in await said(client, "session_list")
                assert "NOT_ALLOWED" in await refused(client, "browser_click", target="#a")
        assert (await front.client.post("/mcp", json={})).status_code == 401
    made = [(line["who"], line["path"]) for line in logs if line["event"] == "audit"]
    assert ("worker", "/tiktok/session") in made
    assert "secret-of" not in str(logs)
