"""Watching a session, and taking control of it, over real HTTP and WebSockets with a fake browser."""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import attrs
import pytest
import trio

from greenroom.actors.actions.inputs import Key, Mouse, Text
from greenroom.actors.errors import NavigationFailed
from greenroom.actors.testing import FakeBrowser, FakeMachine
from tests.web.http.front import PATIENCE_S, Front, open_front, until
from tests.web.http.websockets import Refusal, Socket, open_socket

TOKEN = "a-token-of-enough-characters"


@attrs.define
class Watcher:
    """A client that watches."""

    socket: Socket

    async def say(self, type_: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type_, **fields}))

    async def hear(self, *wanted: str) -> dict[str, Any]:
        """Return the next text message of one of these types, leaving out the others."""
        while True:
            message = await self.socket.receive_any()
            if isinstance(message, str) and (said := json.loads(message))["type"] in wanted:
                return dict(said)

    async def picture(self) -> tuple[dict[str, Any], bytes]:
        """Return the next picture, and what announces it."""
        about = await self.hear("frame")
        jpeg = await self.socket.receive_any()
        assert isinstance(jpeg, bytes)
        return about, jpeg


@contextlib.asynccontextmanager
async def watch(front: Front, path: str, **how: Any) -> AsyncIterator[Watcher]:
    async with open_socket(f"{front.url}{path}/watch", **how) as socket:
        yield Watcher(socket)


def browser_of(front: Front) -> FakeBrowser:
    (browser,) = front.machine.browsers.values()
    return browser


async def take(front: Front, path: str, **headers: str) -> str:
    answer = await front.client.post(
        f"{path}/control", json={"holder": "human", "ttl_s": 60}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    lease: str = answer.json()["lease"]
    return lease


async def test_watcher_gets_events_and_pictures_on_demand() -> None:
    """Two pictures at most before they are acknowledged, and none before they are asked for."""
    async with open_front() as front:
        path = await front.establish()
        async with watch(front, path) as watcher:
            assert (await watcher.hear("session.live"))["session"]["id"] == path.rpartition("/")[2]
            shown = (await front.client.get(path)).json()["session"]
            assert [(one["name"], one["mode"]) for one in shown["watchers"]] == [("operator", "control")]
            assert browser_of(front).pictures == 0
            await watcher.say("view", fps=20, quality=50)
            (first, jpeg), (second, _) = await watcher.picture(), await watcher.picture()
            assert jpeg == b"picture %d" % first["seq"]
            assert (first["width"], first["height"], first["page"]) == (1280, 720, "p1")
            assert second["seq"] > first["seq"]
            assert browser_of(front).views == [(20, 50)]
            with trio.move_on_after(0.3) as waiting:
                await watcher.picture()
            assert waiting.cancelled_caught
            await watcher.say("ack", seq=second["seq"])
            assert (await watcher.picture())[0]["seq"] > second["seq"]
            await watcher.say("view", fps=0)
            await until(lambda: browser_of(front).views == [])
            await front.client.delete(path)
            assert (await watcher.hear("session.ended"))["session"]["end_reason"] == "deleted"
            assert await watcher.socket.closed() == (1000, "the session has ended")


async def test_person_takes_control_and_acts_by_hand() -> None:
    """With the lease, beside programs that are refused with who has control, or wait."""
    async with open_front() as front, trio.open_nursery() as nursery:
        path = await front.establish()
        click = {"kind": "click", "target": "#a"}
        async with watch(front, path) as watcher:
            await watcher.say("mouse", action="move", x=1, y=2)
            assert (await watcher.hear("refused"))["code"] == "CONTROL_HELD"
            lease = await take(front, path)
            assert (await watcher.hear("session.control"))["session"]["control"]["by"] == "operator"
            await watcher.say("lease", lease=lease)
            await watcher.say("mouse", action="down", x=1.5, y=2)
            await watcher.say("text", text="typed")
            await watcher.say("key", key="Enter", modifiers=["Shift"])
            await until(lambda: len(browser_of(front).by_hand) == 3)
            assert browser_of(front).by_hand == [
                Mouse(action="down", x=1.5, y=2),
                Text(text="typed"),
                Key(key="Enter", modifiers=("Shift",)),
            ]
            refused = await front.client.post(f"{path}/actions", json=click)
            assert (refused.status_code, refused.json()["error_details"]["code"]) == (409, "CONTROL_HELD")
            assert refused.json()["error_details"]["held"]["by"] == "operator"
            assert (await front.client.get(f"{path}/html")).status_code == 200
            mine = await front.client.post(f"{path}/actions", json=click, headers={"X-Control-Lease": lease})
            assert mine.status_code == 200
            answers: list[int] = []

            async def act() -> None:
                answers.append(
                    (
                        await front.client.post(f"{path}/actions", json={**click, "on_held": "wait"})
                    ).status_code
                )

            nursery.start_soon(act)
            await trio.sleep(0.1)
            assert answers == []
            back = await front.client.post(f"{path}/control", json={"holder": "programs"})
            assert (back.status_code, back.json()["control"]) == (200, None)
            await until(lambda: answers == [200])
            await watcher.say("text", text="too late")
            assert (await watcher.hear("refused"))["code"] == "CONTROL_HELD"
            await watcher.say("navigate", url="https://example.test/")
            assert (await watcher.hear("refused"))["of"] == "navigate"


async def test_address_is_loaded_by_hand() -> None:
    """But not the daemon's own."""
    async with open_front() as front:
        path = await front.establish()
        async with watch(front, path) as watcher:
            await watcher.say("lease", lease=await take(front, path))
            await watcher.say("navigate", url="https://example.test/by-hand")
            await until(lambda: browser_of(front).urls[-1] == "https://example.test/by-hand")
            await watcher.say("navigate", url=front.url)
            assert "own address" in (await watcher.hear("refused"))["details"]
            front.machine.action_error = NavigationFailed("no", told="NS_ERROR_UNKNOWN_HOST")
            await watcher.say("navigate", url="https://example.test/")
            refused = await watcher.hear("refused")
            assert (refused["code"], refused["explanation"]) == (
                "NAVIGATION_FAILED",
                "NS_ERROR_UNKNOWN_HOST",
            )
            assert (await watcher.hear("session.action"))["action"]["outcome"] == "ok"
            assert (await watcher.hear("session.action"))["action"]["outcome"] == "NAVIGATION_FAILED"


@pytest.mark.parametrize(
    "message",
    ["", "[]", "{", '{"type":"mouse"}', '{"type":"view","fps":31}', '{"type":"key","key":""}',
     '{"type":"none"}', '{"type":"paste","text":"' + "x" * 100_001 + '"}', "[" * 5000,
     '{"type":"ack","seq":-1}'],
)  # fmt: skip
async def test_bad_message_is_refused_and_changes_nothing(message: str) -> None:
    """The refusal names its type, if it has one. The conversation goes on."""
    of = re.search(r'"type":"(\w+)"', message)
    async with open_front() as front:
        path = await front.establish()
        async with watch(front, path) as watcher:
            await watcher.socket.send(message)
            refused = await watcher.hear("refused")
            assert (refused["code"], refused["of"]) == ("INVALID_REQUEST", of[1] if of else "message")
            await watcher.say("view", fps=5)
            await watcher.picture()


async def test_message_that_is_too_large_ends_the_conversation() -> None:
    """A watcher can't fill the daemon's memory."""
    async with open_front() as front:
        path = await front.establish()
        async with watch(front, path) as watcher:
            await watcher.socket.send("x" * (1 << 20))
            assert (await watcher.socket.closed())[0] == 1009
        assert (await front.client.get(path)).json()["session"]["state"] == "live"


async def test_so_much_by_hand_and_no_more_waits() -> None:
    """Movements of the mouse don't pile up: only the last is done."""
    async with open_front(FakeMachine(hand_s=1)) as front:
        path = await front.establish()
        async with watch(front, path) as watcher:
            await watcher.say("lease", lease=await take(front, path))
            for x in range(500):
                await watcher.say("mouse", action="move", x=x, y=0)
            await until(lambda: len(browser_of(front).by_hand) == 2)
            assert browser_of(front).by_hand[-1] == Mouse(action="move", x=499, y=0)
            for _ in range(250):
                await watcher.say("key", key="a")
            assert "Too much" in (await watcher.hear("refused"))["details"]


async def test_one_picture_and_a_stream_of_pictures() -> None:
    """For programs and `<img>`; a glance is not noted, a stream is."""
    async with open_front() as front:
        path = await front.establish()
        one = await front.client.get(f"{path}/live.jpg?quality=30")
        assert (one.status_code, one.headers["Content-Type"], one.content) == (
            200,
            "image/jpeg",
            b"picture 1",
        )
        assert (await front.client.get(f"{path}/live.jpg?quality=101")).status_code == 422
        assert (await front.client.get(path)).json()["session"]["watched"] == []
        host, port = front.url.removeprefix("http://").split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(
                f"GET {path}/live.mjpeg?fps=0.05 HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
            )
            got = b""
            with trio.fail_after(PATIENCE_S):
                while got.count(b"Content-Type: image/jpeg\r\n\r\n") < 2:
                    got += await stream.receive_some()
            head, _, body = got.partition(b"\r\n\r\n")
            assert b"multipart/x-mixed-replace; boundary=greenroom-picture" in head
            _, first, second = body.split(b"--greenroom-picture\r\nContent-Type: image/jpeg\r\n\r\n")
            assert re.fullmatch(rb"picture \d\r\n", first)
            assert second == b""  # its head comes before it is due: browsers then show the first
            assert (await front.client.get(path)).json()["session"]["watchers"]
        with trio.fail_after(PATIENCE_S):
            while (await front.client.get(path)).json()["session"]["watchers"]:
                await trio.sleep(0.01)
        await front.client.delete(path)
        for resource in ("live.jpg", "live.mjpeg"):
            assert (await front.client.get(f"{path}/{resource}")).status_code == 410
        with pytest.raises(Refusal) as refused:
            async with watch(front, path):
                pass
        assert (refused.value.status, refused.value.code) == (410, "SESSION_ENDED")


async def test_plain_http_is_told_to_upgrade() -> None:
    """But not before the session is known."""
    async with open_front() as front:
        path = await front.establish()
        answer = await front.client.get(f"{path}/watch")
        assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
        assert answer.json()["error_details"]["code"] == "UPGRADE_REQUIRED"
        assert (await front.client.get("/tiktok/session/none/watch")).status_code == 404


async def test_who_has_control_can_be_read() -> None:
    """Without the lease."""
    async with open_front() as front:
        path = await front.establish()
        assert (await front.client.get(f"{path}/control")).json()["control"] is None
        await take(front, path)
        shown = (await front.client.get(f"{path}/control")).json()
        assert (shown["message"], shown["lease"]) == ("operator has control", None)
        assert shown["control"]["by"] == "operator"


# Links


async def make_link(front: Front, path: str, mode: str = "view", **more: Any) -> dict[str, Any]:
    answer = await front.client.post(f"{path}/links", json={"mode": mode, "name": "Bob", **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def by(token: str) -> dict[str, Any]:
    return {"subprotocols": ["greenroom", f"greenroom.link.{token}"]}


@contextlib.asynccontextmanager
async def guarded() -> AsyncIterator[Front]:
    """A daemon with a token, and a client that has it."""
    async with open_front(token=TOKEN) as front:
        front.client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield front


async def status(front: Front, method: str, path: str, token: str, **body: Any) -> int:
    """Return the status of a request by somebody with a link."""
    headers = {"Authorization": f"Bearer {token}"}
    return (await front.client.request(method, path, headers=headers, json=body or None)).status_code


async def test_link_lets_somebody_watch_one_session_and_nothing_else() -> None:
    """Without the daemon's token. They are shown by the link's name."""
    async with guarded() as front:
        path, other = await front.establish(), await front.establish()
        made = await make_link(front, path)
        assert made["address"] == f"{front.url}{path}/live#link={made['token']}&mode=view"
        token = made["token"]
        async with watch(front, path, **by(token)) as watcher:
            assert watcher.socket.accepted is not None
            assert watcher.socket.accepted.subprotocol == "greenroom"
            await watcher.say("view", fps=10)
            await watcher.picture()
            session = (await front.client.get(path)).json()["session"]
            assert [(one["name"], one["mode"]) for one in session["watchers"]] == [("Bob", "view")]
            for type_, fields in (("text", {"text": "x"}), ("navigate", {"url": "https://example.test/"})):
                await watcher.say(type_, **fields)
                assert (await watcher.hear("refused"))["code"] == "NOT_ALLOWED"
            await watcher.say("lease", lease=await take(front, path))
            await watcher.say("text", text="x")
            assert (await watcher.hear("refused"))["code"] == "NOT_ALLOWED"
            assert browser_of_path(front, path).by_hand == []
        assert await status(front, "GET", path, token) == 200
        assert await status(front, "GET", f"{path}/pages", token) == 200
        for method, asked in (
            ("GET", "/overview"), ("GET", "/events"), ("GET", "/tiktok/session"), ("GET", "/leaks"),
            ("POST", "/tiktok/session"), ("GET", other), ("GET", f"{other}/live.jpg"),
            ("DELETE", path), ("PATCH", path),
            ("GET", f"{path}/cookies"), ("GET", f"{path}/html"), ("GET", f"{path}/links"),
            ("POST", f"{path}/links"), ("POST", f"{path}/control"), ("POST", f"{path}/actions"),
            ("GET", f"{path}/playwright"), ("GET", f"{path}x"),
        ):  # fmt: skip
            assert await status(front, method, asked, token, holder="human") == 403, asked
        for target in (f"{other}/watch", f"{path}/playwright"):
            with pytest.raises(Refusal) as refused:
                async with open_socket(f"{front.url}{target}", **by(token)):
                    pass
            assert refused.value.status == 403


def browser_of_path(front: Front, path: str) -> FakeBrowser:
    return front.machine.browsers[path.rpartition("/")[2]]


async def test_link_to_control_lets_somebody_take_over() -> None:
    """By hand, with tabs and the address bar; not by script. They need their own lease."""
    async with guarded() as front:
        path = await front.establish()
        token = (await make_link(front, path, "control"))["token"]
        mine = {"Authorization": f"Bearer {token}"}
        lease = await take(front, path, **mine)
        session = (await front.client.get(path)).json()["session"]
        assert session["control"]["by"] == "Bob"
        async with watch(front, path, **by(token)) as watcher:
            await watcher.say("lease", lease=lease)
            await watcher.say("text", text="x")
            await until(lambda: browser_of_path(front, path).by_hand == [Text(text="x")])
        held = {**mine, "X-Control-Lease": lease}
        for action, expected in (
            ({"kind": "page_new"}, 200),
            ({"kind": "navigate", "url": "https://example.test/"}, 200),
            ({"kind": "evaluate", "expression": "document.cookie"}, 403),
            ({"actions": [{"kind": "reload"}, {"kind": "click", "target": "a"}]}, 403),
        ):
            answer = await front.client.post(f"{path}/actions", json=action, headers=held)
            assert answer.status_code == expected, action
        back = {"holder": "programs"}
        assert (await front.client.post(f"{path}/control", json=back, headers=mine)).status_code == 403
        assert (await front.client.post(f"{path}/control", json=back, headers=held)).status_code == 200


@pytest.mark.parametrize("how", ["expired", "revoked", "forged", "other session", "no such", "of another"])
async def test_link_that_does_not_hold_is_refused(how: str) -> None:
    """And whoever watches by it has to leave when it ends."""
    async with guarded() as front:
        path, other = await front.establish(), await front.establish()
        made = await make_link(front, path, ttl_s=1 if how == "expired" else 60)
        token = made["token"]
        if how in {"expired", "revoked"}:
            async with watch(front, path, **by(token)) as watcher:
                if how == "revoked":
                    gone = await front.client.delete(f"{path}/links/{made['link']['id']}")
                    assert gone.status_code == 204
                assert (await watcher.socket.closed())[0] == 4003
            assert (await front.client.get(f"{path}/links")).json()["links"] == []
        elif how == "forged":
            token = token[:-4] + ("0000" if not token.endswith("0000") else "1111")
        elif how == "no such":
            token = "gl1.nobody.knows"
        elif how == "of another":
            async with guarded() as elsewhere:
                token = (await make_link(elsewhere, await elsewhere.establish()))["token"]
        expected = 403 if how == "other session" else 401
        target = other if how == "other session" else path
        assert await status(front, "GET", target, token) == expected
        with pytest.raises(Refusal) as refused:
            async with watch(front, target, **by(token)):
                pass
        assert refused.value.status == expected


async def test_session_has_so_many_links_and_no_more() -> None:
    """Revoking one makes room."""
    async with open_front() as front:
        path = await front.establish()
        links = [await make_link(front, path) for _ in range(50)]
        assert (await front.client.post(f"{path}/links", json={})).status_code == 422
        await front.client.delete(f"{path}/links/{links[0]['link']['id']}")
        await make_link(front, path)
        listed = (await front.client.get(f"{path}/links")).json()["links"]
        assert len(listed) == 50
        assert links[1]["token"] not in json.dumps(listed)
        await front.client.delete(path)
        assert (await front.client.post(f"{path}/links", json={})).status_code == 410


# Other web pages


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
async def test_web_page_of_another_origin_can_not_watch(origin: str) -> None:
    """A browser sends the page's origin, and nothing that the page sets replaces it."""
    async with open_front() as front:
        path = await front.establish()
        with pytest.raises(Refusal) as refused:
            async with watch(front, path, headers=[(b"Origin", origin.encode())]):
                pass
        assert (refused.value.status, refused.value.code) == (403, "ORIGIN_NOT_ALLOWED")
        control = await front.client.post(
            f"{path}/control", json={"holder": "human"}, headers={"Origin": origin}
        )
        assert control.status_code == 403
        async with watch(front, path, headers=[(b"Origin", front.url.encode())]) as watcher:
            await watcher.hear("session.live")


async def test_daemon_that_stops_says_so_to_those_who_watch() -> None:
    """They get the end of their session first."""
    async with open_front() as front:
        path = await front.establish()
        async with watch(front, path) as watcher:
            await watcher.hear("session.live")
            await front.supervisor.stop()
            assert (await watcher.hear("session.ended"))["session"]["end_reason"] == "shutdown"
            assert await watcher.socket.closed() == (1000, "the session has ended")


async def test_end_of_a_link_is_the_end_of_all_that_was_opened_with_it() -> None:
    """Its control, its events and its pictures, at that moment."""
    async with guarded() as front:
        path = await front.establish()
        made = await make_link(front, path, "control", ttl_s=600)
        mine = f"Authorization: Bearer {made['token']}\r\n"
        await take(front, path, Authorization=f"Bearer {made['token']}")
        host, port = front.url.removeprefix("http://").split(":")
        async with contextlib.AsyncExitStack() as stack:
            streams = []
            for resource in ("events", "live.mjpeg?fps=0.05"):
                stream = await stack.enter_async_context(await trio.open_tcp_stream(host, int(port)))
                head = f"GET {path}/{resource} HTTP/1.0\r\nHost: localhost\r\n{mine}\r\n"
                await stream.send_all(head.encode())
                assert b" 200 " in await stream.receive_some()
                streams.append(stream)
            assert (await front.client.delete(f"{path}/links/{made['link']['id']}")).status_code == 204
            with trio.fail_after(PATIENCE_S):
                for stream in streams:
                    while await stream.receive_some():
                        pass
        session = (await front.client.get(path)).json()["session"]
        assert (session["control"], session["watchers"]) == (None, [])


async def test_control_by_a_link_lasts_no_longer_than_the_link() -> None:
    """Whatever was asked for."""
    async with guarded() as front:
        path = await front.establish()
        made = await make_link(front, path, "control", ttl_s=30)
        await take(front, path, Authorization=f"Bearer {made['token']}")
        until = (await front.client.get(path)).json()["session"]["control"]["until"]
        left = datetime.fromisoformat(until) - datetime.fromisoformat(made["link"]["expires_at"])
        assert left.total_seconds() < 1


async def test_link_gets_neither_a_snapshot_nor_a_place_in_the_queue() -> None:
    """A snapshot would show what fields hold."""
    async with guarded() as front:
        path = await front.establish()
        token = (await make_link(front, path, "control"))["token"]
        for more in ({"snapshot": True}, {"on_held": "wait"}):
            assert await status(front, "POST", f"{path}/actions", token, kind="reload", **more) == 403


async def test_one_link_takes_few_of_the_places() -> None:
    """Those who come later are told so, in every way of watching; operators still get in."""
    async with guarded() as front, contextlib.AsyncExitStack() as stack:
        path = await front.establish()
        token = (await make_link(front, path))["token"]
        for _ in range(5):
            await stack.enter_async_context(watch(front, path, **by(token)))
        with pytest.raises(Refusal) as refused:
            await stack.enter_async_context(watch(front, path, **by(token)))
        assert (refused.value.status, refused.value.code) == (429, "TOO_MANY_WATCHERS")
        for resource in ("live.jpg", "live.mjpeg"):
            assert await status(front, "GET", f"{path}/{resource}", token) == 429
        assert (await front.client.get(f"{path}/live.jpg")).status_code == 200


async def test_wish_for_more_pictures_is_heard_at_once() -> None:
    """Even by one who wished for few before."""
    async with open_front() as front:
        path = await front.establish()
        async with watch(front, path) as watcher:
            await watcher.say("view", fps=0.05)
            seq = (await watcher.picture())[0]["seq"]
            await watcher.say("ack", seq=seq)
            await watcher.say("view", fps=10)
            with trio.fail_after(PATIENCE_S):
                await watcher.picture()
            await watcher.say("view", fps=1e-300)
            assert (await watcher.hear("refused"))["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("resource", ["events", "live.mjpeg"])
async def test_head_of_a_stream_is_answered(resource: str) -> None:
    """Without the stream."""
    async with open_front() as front:
        path = await front.establish()
        assert (await front.client.head(f"{path}/{resource}")).status_code == 200
        assert (await front.client.get(path)).json()["session"]["watchers"] == []
