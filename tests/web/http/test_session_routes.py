"""What is done with a live session over real HTTP, with a fake machine."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from greenroom.actors.actions.actions import Click, Evaluate, Navigate, Operation, Type
from greenroom.actors.actions.readings import Fetch, Screenshot, Snapshot
from greenroom.actors.errors import (
    ActionFailed,
    AmbiguousTarget,
    DialogOpen,
    NavigationFailed,
    NoSuchFile,
    PageCrashed,
    StaleRef,
)
from greenroom.actors.machine import result
from greenroom.actors.testing import FakeBrowser, FakeMachine
from greenroom.actors.verdict import LoginState
from tests.web.http.front import PATIENCE_S, SESSIONS, Front, open_front, until

UNKNOWN = f"{SESSIONS}/6f2f0e0e-7a44-4a9e-a7f5-000000000000"
READABLE = {
    "snapshot": "application/yaml",
    "html": "text/plain; charset=utf-8",
    "pdf": "application/pdf",
    "pages": "application/json",
    "cookies": "application/json",
    "storage": "application/json",
    "console": "application/json",
    "network": "application/json",
    "downloads": "application/json",
    "downloads/notes.txt": "application/octet-stream",
    "screenshot": "image/png",
}


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front on which sessions succeed at once."""
    async with open_front(FakeMachine(value={"a": [1, "x"]})) as opened:
        yield opened


async def create(front: Front) -> str:
    """Return the path of a new session."""
    return (await front.create()).headers["Location"]


def browser_of(front: Front) -> FakeBrowser:
    (browser,) = front.machine.browsers.values()
    return browser


async def test_one_action_is_carried_out(front: Front) -> None:
    """The answer has its result, and the page that it left."""
    path = await create(front)
    answer = await front.client.post(f"{path}/actions", json={"kind": "click", "ref": "e5"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["message"]) == ("success", "1 action carried out")
    [done] = body["results"]
    assert (done["kind"], done["value"], done["page"]) == ("click", {"a": [1, "x"]}, "p1")
    assert body["page"].keys() == {"id", "url", "title", "selected", "dialog"}
    assert body["snapshot"] is None
    assert browser_of(front).performed == [Click(target="e5")]


async def test_several_actions_are_carried_out_in_order_with_a_snapshot_after(front: Front) -> None:
    """Each has its result."""
    path = await create(front)
    steps = [
        {"kind": "navigate", "url": "https://a.example/"},
        {"kind": "type", "target": "#q", "text": "x"},
        {"kind": "evaluate", "expression": "x => x", "arg": {"deep": [None]}},
    ]
    answer = await front.client.post(f"{path}/actions", json={"actions": steps, "snapshot": True})
    body = answer.json()
    assert [done["kind"] for done in body["results"]] == ["navigate", "type", "evaluate"]
    assert body["page"]["url"] == "https://a.example/"
    assert body["snapshot"] == front.machine.html.decode()
    expected: list[Operation] = [
        Navigate(url="https://a.example/"),
        Type(target="#q", text="x"),
        Evaluate(expression="x => x", arg={"deep": [None]}),
        Snapshot(page="p1"),
    ]
    assert browser_of(front).performed == expected


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b"", "The body is empty"),
        (b"[]", 'Expected one action, or `{"actions": [...]}`'),
        (b'{"kind":"click"}', "Object missing required field `target`"),
        (b'{"actions":[{"kind":"back"},{"kind":"x"}]}', "Invalid value 'x' - at `$.actions[1].kind`"),
        (b'{"kind":"navigate","url":"file:///etc"}', "Expected an http or https URL - at `$.url`"),
        (b'{"kind":"back","snapshot":1}', "Expected `bool` - at `$.snapshot`"),
        (b'{"kind":"back"}\xff', "JSON is malformed: trailing characters (byte 16)"),
        (b"[" * 5000 + b"]" * 5000, "JSON is nested too deeply"),
        (b'{"kind":"press","key":"\\ud800"}', "Input data was truncated"),
    ],
)
async def test_wrong_actions_are_refused_and_nothing_is_done(front: Front, body: bytes, details: str) -> None:
    """The text names the field."""
    path = await create(front)
    answer = await front.client.post(f"{path}/actions", content=body)
    assert answer.status_code == 422
    assert answer.json()["error_details"]["code"] == "INVALID_REQUEST"
    assert answer.json()["error_details"]["details"] == details
    assert browser_of(front).performed == []


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "a.localhost", "[::1]", "127.1.2.3", "0.0.0.0", "127.1"),
        *("2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::]"),
    ],
)
@pytest.mark.parametrize("route", ["actions", "fetch"])
async def test_daemons_own_address_is_refused(front: Front, host: str, route: str) -> None:
    """What a session shows must not be the daemon itself."""
    path = await create(front)
    url = f"http://{host}:{httpx.URL(front.url).port}/tiktok/session"
    body = {"kind": "navigate", "url": url} if route == "actions" else {"url": url}
    answer = await front.client.post(f"{path}/{route}", json=body)
    assert answer.status_code == 422
    assert "daemon's own address" in answer.json()["error_details"]["details"]
    assert browser_of(front).performed == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ActionFailed("no", told="Element is not an <input>"), 422, "ACTION_FAILED"),
        (AmbiguousTarget("two", told="2 elements"), 422, "AMBIGUOUS_TARGET"),
        (NavigationFailed("no", told="NS_ERROR_UNKNOWN_HOST"), 502, "NAVIGATION_FAILED"),
        (PageCrashed("no", told="crashed"), 409, "PAGE_CRASHED"),
        (DialogOpen("no", told="alert"), 409, "DIALOG_OPEN"),
        (StaleRef("no", told="e5"), 409, "STALE_REF"),
        (NoSuchFile("no", told="a.txt"), 404, "FILE_NOT_FOUND"),
    ],
)
async def test_action_that_fails_is_answered_with_why_and_what_was_done(
    front: Front, error: ActionFailed, status: int, code: str
) -> None:
    """The session goes on. Retrying helps only where the network failed."""
    path = await create(front)
    front.machine.action_error = error
    answer = await front.client.post(f"{path}/actions", json={"kind": "click", "target": "e5"})
    details = answer.json()["error_details"]
    assert (answer.status_code, details["code"]) == (status, code)
    assert (details["kind"], details["index"]) == ("click", 0)
    assert details["explanation"] == error.told
    assert details.get("retryable", False) is (status == 502)
    assert (await front.client.get(path)).json()["session"]["state"] == "live"


async def test_action_that_takes_too_long_answers_504(front: Front) -> None:
    """Its own limit counts; what was done before it is told."""
    path = await create(front)
    front.machine.action_s = 0.2
    steps = [{"kind": "back"}, {"kind": "hover", "target": "e1", "timeout": 0.1}]
    answer = await front.client.post(f"{path}/actions", json={"actions": steps})
    details = answer.json()["error_details"]
    assert (answer.status_code, details["code"], details["retryable"]) == (504, "ACTION_TIMEOUT", True)
    assert (details["index"], [done["kind"] for done in details["results"]]) == (1, ["back"])


@pytest.mark.parametrize("resource", READABLE)
async def test_resource_is_read(front: Front, resource: str) -> None:
    """With its type, its length, and headers that keep it from acting as a page of the daemon's."""
    path = await create(front)
    answer = await front.client.get(f"{path}/{resource}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, READABLE[resource])
    assert int(answer.headers["Content-Length"]) == len(answer.content) > 0
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    if resource.startswith("downloads/"):
        assert answer.headers["Content-Disposition"] == "attachment; filename=notes.txt"


async def test_query_chooses_what_is_read(front: Front) -> None:
    """Fields are as in the actions."""
    path = await create(front)
    query = "type=jpeg&quality=50&full_page=true&page=p2&timeout=2.5"
    answer = await front.client.get(f"{path}/screenshot?{query}")
    assert answer.headers["Content-Type"] == "image/jpeg"
    await front.client.get(f"{path}/snapshot?depth=3")
    assert browser_of(front).performed == [
        Screenshot(type="jpeg", quality=50, full_page=True, page="p2", timeout=2.5),
        Snapshot(depth=3),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "snapshot?kind=html",
        "screenshot?type=gif",
        "screenshot?quality=0",
        "snapshot?depth=x",
        "html?x=1",
        "pdf?page=2",
    ],
)
async def test_wrong_query_is_refused(front: Front, query: str) -> None:
    """The field is named."""
    path = await create(front)
    answer = await front.client.get(f"{path}/{query}")
    assert (answer.status_code, answer.json()["error_details"]["code"]) == (422, "INVALID_REQUEST")
    assert browser_of(front).performed == []


async def test_large_answer_is_streamed_from_a_file(
    monkeypatch: pytest.MonkeyPatch, front: Front, tmp_path: Path
) -> None:
    """Every byte arrives, and the command is over before the client has read the answer."""
    content = bytes(range(256)) * (3 << 12)
    path = await create(front)

    async def perform(_browser: FakeBrowser, _operation: Operation, *, timeout_s: float) -> result.Result:
        spooled = result.Result(tmp_path)
        for start in range(0, len(content), 65536):
            await spooled.add(content[start : start + 65536])
        return spooled

    monkeypatch.setattr(FakeBrowser, "perform", perform)
    async with front.client.stream("GET", f"{path}/pdf") as answer:
        assert (await front.client.get(f"{path}/html")).content == content
        assert await answer.aread() == content
    assert list(await trio.Path(tmp_path).iterdir()) == []


async def test_file_is_stored_under_a_plain_name(front: Front) -> None:
    """Paths in a name are dropped."""
    path = await create(front)
    files = [("file", ("../../etc/a.txt", b"one")), ("file", ("C:\\x\\b .bin", b"\x00\xff"))]
    answer = await front.client.post(f"{path}/files", files=files)
    assert (answer.status_code, answer.json()["files"]) == (200, ["a.txt", "b .bin"])
    assert browser_of(front).files == {"a.txt": b"one", "b .bin": b"\x00\xff"}


async def test_long_name_keeps_its_end(front: Front) -> None:
    """A disk takes names of some 250 bytes; the suffix says what the file is."""
    path = await create(front)
    answer = await front.client.post(f"{path}/files", files={"file": ("ü" * 300 + ".mp4", b"x")})
    [name] = answer.json()["files"]
    assert name.endswith("ü.mp4")
    assert len(name.encode()) <= 200


async def test_files_that_are_none_are_refused(front: Front) -> None:
    """No file, one whose name is nothing but dots, or a body that is not what it says."""
    path = await create(front)
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    for content in (b"--x\r\nno", b""):
        answer = await front.client.post(f"{path}/files", content=content, headers=broken)
        assert 400 <= answer.status_code < 500, answer.text
    assert (await front.client.post(f"{path}/files", data={"a": "b"})).status_code == 422
    assert (await front.client.post(f"{path}/files", files={"file": ("..", b"x")})).status_code == 422
    assert browser_of(front).files == {}


async def test_too_large_a_body_answers_413(front: Front) -> None:
    """Actions take 3 MB, files 51 MB, everything else 64 KB."""
    path = await create(front)
    big = b" " * ((3 << 20) + 1)
    assert (await front.client.post(f"{path}/actions", content=big)).status_code == 413
    assert (await front.client.post(f"{path}/verdict", content=b" " * (65536 + 1))).status_code == 413
    head = f"POST {path}/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: {(51 << 20) + 1}\r\n\r\n"
    url = httpx.URL(front.url)
    async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
        await stream.send_all(head.encode())
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 413 ")


async def test_fetch_asks_from_within_the_page(front: Front) -> None:
    """All of the request goes there."""
    path = await create(front)
    asked = {"url": "https://a.example/", "method": "POST", "headers": {"X-A": "b"}, "body": "c"}
    assert (await front.client.post(f"{path}/fetch", json=asked)).status_code == 200
    assert browser_of(front).performed == [
        Fetch(url="https://a.example/", method="POST", headers={"X-A": "b"}, body="c")
    ]
    assert (await front.client.post(f"{path}/fetch", json={"url": "x"})).status_code == 422


async def test_trace_is_started_and_stopped(front: Front) -> None:
    """What is recorded comes as a file."""
    path = await create(front)
    assert (await front.client.post(f"{path}/trace/start")).status_code == 204
    stopped = await front.client.post(f"{path}/trace/stop")
    assert (stopped.status_code, stopped.headers["Content-Type"]) == (200, "application/zip")
    assert stopped.headers["Content-Disposition"] == "attachment; filename=trace.zip"


async def test_session_is_extended(front: Front) -> None:
    """The answer is the session, with its later end."""
    path = await create(front)
    before = (await front.client.get(path)).json()["session"]["expires_at"]
    answer = await front.client.patch(path, json={"extend_s": 60})
    assert answer.status_code == 200
    assert answer.json()["session"]["expires_at"] > before
    for wrong in ({"extend_s": 0}, {"extend_s": "x"}, {}, {"extend_s": 1, "more": 2}):
        assert (await front.client.patch(path, json=wrong)).status_code == 422


async def test_verdict_is_renewed(front: Front) -> None:
    """The session shows the new one."""
    path = await create(front)
    front.machine.page = LoginState.LOGGED_OUT
    answer = await front.client.post(f"{path}/verdict")
    assert (answer.status_code, answer.json()["login_state"]) == (200, "LOGGED_OUT")
    assert (await front.client.get(path)).json()["session"]["login_state"] == "LOGGED_OUT"


ROUTES = [
    ("POST", "actions", {"kind": "back"}),
    ("GET", "html", None),
    ("GET", "downloads/a", None),
    ("POST", "fetch", {"url": "https://a.example/"}),
    ("POST", "trace/start", None),
    ("POST", "verdict", None),
    ("PATCH", "", {"extend_s": 1}),
]


@pytest.mark.parametrize(("method", "route", "body"), ROUTES)
async def test_unknown_session_answers_404_and_an_ended_one_410_with_its_receipt(
    front: Front, method: str, route: str, body: dict[str, Any] | None
) -> None:
    """`GET` on the session itself goes on answering 200."""
    path = await create(front)
    await front.client.delete(path)
    answer = await front.client.request(method, f"{path}/{route}".rstrip("/"), json=body)
    details = answer.json()["error_details"]
    assert (answer.status_code, details["code"]) == (410, "SESSION_ENDED")
    assert (details["end_reason"], details["receipt"]["reason"]) == ("deleted", "deleted")
    assert (await front.client.get(path)).status_code == 200
    answer = await front.client.request(method, f"{UNKNOWN}/{route}".rstrip("/"), json=body)
    assert (answer.status_code, answer.json()["error_details"]["code"]) == (404, "SESSION_NOT_FOUND")


async def test_session_that_is_not_live_yet_answers_409() -> None:
    """It says in which state it is, and that it may be asked again."""
    async with open_front(FakeMachine(navigate_s=60)) as front, trio.open_nursery() as nursery:
        nursery.start_soon(front.create)
        await until(lambda: bool(front.machine.browsers))
        (session_id,) = front.machine.browsers
        answer = await front.client.get(f"{SESSIONS}/{session_id}/html")
        details = answer.json()["error_details"]
        assert (answer.status_code, details["code"], details["retryable"]) == (409, "NOT_LIVE", True)
        nursery.cancel_scope.cancel()


async def test_more_commands_than_wait_are_refused_with_429(front: Front) -> None:
    """And with when to try again. A client that hangs up cancels its command."""
    path = await create(front)
    front.machine.action_s = 4
    async with trio.open_nursery() as nursery:
        statuses: list[int] = []

        async def ask() -> None:
            answer = await front.client.get(f"{path}/html")
            statuses.append(answer.status_code)
            if answer.status_code == 429:
                assert int(answer.headers["Retry-After"]) >= 1
                nursery.cancel_scope.cancel()

        for _ in range(20):
            nursery.start_soon(ask)
    assert statuses[:1] == [429]
    front.machine.action_s = 0
    with trio.fail_after(PATIENCE_S):
        while (await front.client.get(f"{path}/html")).status_code != 200:
            await trio.sleep(0.01)


async def test_what_is_typed_and_what_pages_say_is_not_logged(
    front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a refusal nor a failure quotes it."""
    path = await create(front)
    front.machine.action_error = ActionFailed("no", told="canary-told")
    body = {"kind": "type", "target": "#canary-target", "text": "canary-text"}
    await front.client.post(f"{path}/actions", json=body)
    await front.client.post(f"{path}/actions", json={**body, "text": 5})
    front.machine.action_error = KeyError("internal")
    await front.client.post(f"{path}/actions", json=body)
    shown = capsys.readouterr()
    assert "request refused" in shown.out
    assert "canary" not in shown.out + shown.err


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/tiktok/session", "/health", "/leaks"])
async def test_page_of_another_site_gets_nothing(front: Front, site: str, path: str) -> None:
    """Browsers say so even of a link that is followed; people who type the address are let in."""
    refused = await front.client.get(path, headers={"Sec-Fetch-Site": site})
    assert (refused.status_code, refused.json()["error_details"]["code"]) == (403, "ORIGIN_NOT_ALLOWED")
    for fine in ("none", "same-origin"):
        assert (await front.client.get(path, headers={"Sec-Fetch-Site": fine})).status_code == 200
