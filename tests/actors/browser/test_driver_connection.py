"""The connection to a driver, over a real Unix socket."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trio

from greenroom.actors.browser.client import connection
from greenroom.actors.browser.client.connection import SocketConnection, open_connection
from greenroom.actors.browser.wire.messages import Proxy
from greenroom.actors.errors import ActionFailed
from greenroom.actors.machine.ports import DriverConnection, MessageTooLarge

SOCKET = "browser/browser-1.sock"


@attrs.define(eq=False)
class Driver:
    """The other end, once a client has come."""

    stream: trio.SocketStream
    ours: SocketConnection

    async def hear(self) -> bytes:
        data = b""
        while not data.endswith(b"\0"):
            data += bytes(await self.stream.receive_some())
        return data


@contextlib.asynccontextmanager
async def open_driver(folder: Path, *, proxy: Proxy | None = None) -> AsyncIterator[Driver]:
    (folder / "browser").mkdir(parents=True)
    listening = trio.socket.socket(trio.socket.AF_UNIX)
    with contextlib.chdir(folder):
        await listening.bind(SOCKET)
    listening.listen()
    with listening:
        async with open_connection(
            folder, SOCKET, "browser@1", keep_dialogs=trio.lowlevel.checkpoint, proxy=proxy
        ) as ours:
            accepted, _ = await listening.accept()
            async with trio.SocketStream(accepted) as stream:
                yield Driver(stream, ours)


async def test_messages_travel_both_ways(tmp_path: Path) -> None:
    """Each ends with a zero byte, however it is cut on the way."""
    async with open_driver(tmp_path) as driver:
        port: DriverConnection = driver.ours
        await port.send(b'{"id":1}')
        assert await driver.hear() == b'{"id":1}\0'
        for piece in (b'{"a"', b":1}\0{}", b"\0", b"[]\0"):
            await driver.stream.send_all(piece)
        assert [await port.receive() for _ in range(3)] == [b'{"a":1}', b"{}", b"[]"]
        large = b'"' + b"x" * (2 << 20) + b'"'
        async with trio.open_nursery() as nursery:
            nursery.start_soon(driver.stream.send_all, large + b"\0")
            assert await port.receive() == large
        assert port.browser == "browser@1"


async def test_path_of_the_socket_may_be_long(tmp_path: Path) -> None:
    """Longer than the address of a Unix socket may be."""
    async with open_driver(tmp_path / ("a" * 150)) as driver:
        await driver.ours.send(b"{}")
        assert await driver.hear() == b"{}\0"


async def test_end_of_the_driver_is_told_once_all_is_read(tmp_path: Path) -> None:
    """What is sent after that is lost, without an error."""
    async with open_driver(tmp_path) as driver:
        await driver.stream.send_all(b"{}\0half")
        await driver.stream.aclose()
        assert [await driver.ours.receive() for _ in range(3)] == [b"{}", b"", b""]
        await driver.ours.send(b"{}")


async def test_end_of_the_connection_wakes_its_reader(tmp_path: Path) -> None:
    """As when the session ends under a client."""
    heard: list[bytes] = []

    async def read(ours: SocketConnection) -> None:
        heard.append(await ours.receive())

    async with trio.open_nursery() as nursery:
        async with open_driver(tmp_path) as driver:
            nursery.start_soon(read, driver.ours)
            await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(5):
            while not heard:
                await trio.sleep(0.01)
        await driver.ours.send(b"{}")
    assert heard == [b""]


async def test_message_that_is_too_large_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sender may never end it."""
    monkeypatch.setattr(connection, "MAX_MESSAGE_BYTES", 1000)
    async with open_driver(tmp_path) as driver:
        await driver.stream.send_all(b"x" * 1001)
        with pytest.raises(MessageTooLarge):
            await driver.ours.receive()


@pytest.mark.parametrize(
    "socket",
    ["/etc/x.sock", "browser/../../x.sock", "../x.sock", "x.sock", "browser/a/b.sock", "browser/.sock"],
)
async def test_socket_elsewhere_is_not_connected_to(socket: str, tmp_path: Path) -> None:
    """A host says where it is, and hosts are not trusted that far."""
    with pytest.raises(ActionFailed) as failed:
        async with open_connection(
            tmp_path, socket, "browser@1", keep_dialogs=trio.lowlevel.checkpoint, proxy=None
        ):
            pass
    assert "attached" in str(failed.value)


async def test_driver_that_does_not_listen_is_reported(tmp_path: Path) -> None:
    """With the reason in the log, and no path for the client."""
    with pytest.raises(ActionFailed) as failed:
        async with open_connection(
            tmp_path, SOCKET, "browser@1", keep_dialogs=trio.lowlevel.checkpoint, proxy=None
        ):
            pass
    assert str(tmp_path) not in str(failed.value)
    assert "No such file" in (failed.value.detail or "")


async def test_credentials_of_the_proxy_do_not_get_through(tmp_path: Path) -> None:
    """Playwright sends them as a header of each request."""
    proxy = Proxy(server="http://p.example:1", username="me", password="secret")
    async with open_driver(tmp_path, proxy=proxy) as driver:
        await driver.stream.send_all(b'{"value":"Basic bWU6c2VjcmV0"}\0')
        assert await driver.ours.receive() == b'{"value":"Basic (hidden)"}'
