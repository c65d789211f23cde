"""The doctor's checks of the daemon's address, the proxy and the site. Sockets stand in for all three."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from greenroom.web.checks import Finding, Level, network
from tests.web.http.front import make_settings, open_front

HOST = "127.0.0.1"
NOWHERE = f"http://{HOST}:9/"  # nobody listens there


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer every connection to an address with the same bytes, for the length of the block."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{HOST}:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def http(status: str, body: str = "") -> bytes:
    """Return an HTTP answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


def test_port_of_another_program_fails() -> None:
    """Even if the program speaks HTTP, the daemon could not start."""
    with answering(http("200 OK", "hello")) as bind:
        port = network.check_port(make_settings(bind=bind))
    assert (port.level, port.found) == (Level.FAIL, f"{bind} can't be listened on: Address already in use")
    assert "set bind" in port.fix


def test_socket_file_that_can_be_made_is_fine_and_is_not_touched(tmp_path: Path) -> None:
    """Nothing there, or what a killed daemon has left: a daemon that starts meanwhile finds all as it was."""
    path = tmp_path / "greenroom.sock"
    settings = make_settings(bind=f"unix:{path}")
    before = tmp_path.stat()
    assert network.check_port(settings) == Finding("port", Level.OK, f"unix:{path} is free")
    assert tmp_path.stat().st_mtime_ns == before.st_mtime_ns
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    before = path.lstat()
    assert network.check_port(settings).level is Level.OK
    assert os.path.samestat(path.lstat(), before)
    assert path.lstat().st_ctime_ns == before.st_ctime_ns


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("taken.sock", "something listens there already"),
        ("file", "there is a file that is no socket"),
        ("none/greenroom.sock", "No such file or directory"),
    ],
)
def test_socket_file_that_can_not_be_made_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, why: str
) -> None:
    """The message says what is in the way."""
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/taken.sock")
        listening.listen(1)
        monkeypatch.setattr(network, "_CONNECT_S", 0.1)  # it never answers
        port = network.check_port(make_settings(bind=f"unix:{tmp_path}/{place}"))
    assert (port.level, port.found) == (Level.FAIL, f"unix:{tmp_path}/{place} can't be listened on: {why}")


def test_daemon_can_start_while_its_port_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check has the address, but does not listen there."""
    bound: list[int] = []

    def start(checking: socket.socket, address: tuple[str, int]) -> None:
        binding(checking, address)
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            binding(listening, checking.getsockname())
            listening.listen(1)
            bound.append(checking.getsockname()[1])

    binding = socket.socket.bind
    monkeypatch.setattr(socket.socket, "bind", start, raising=False)
    assert network.check_port(make_settings(bind=f"{HOST}:0")).level is Level.OK
    assert len(bound) == 1


async def test_port_of_our_own_daemon_is_a_warning() -> None:
    """Running the doctor beside a daemon is not an error."""
    async with open_front() as front:
        bind = front.url.removeprefix("http://")
        port = await trio.to_thread.run_sync(network.check_port, make_settings(bind=bind))
    assert port.level is Level.WARN
    assert port.found == f"{bind}: a Greenroom daemon serves there already"


def test_address_that_is_not_ours_fails() -> None:
    """This applies to an address of another machine, and to a name that doesn't exist."""
    for bind in ("192.0.2.1:8700", "nowhere.invalid:8700"):
        port = network.check_port(make_settings(bind=bind, token="t" * 16))
        assert port.level is Level.FAIL
        assert port.found.startswith(f"{bind} can't be listened on: ")


@pytest.mark.parametrize(
    ("status", "level"), [("200 OK", Level.OK), ("403 No", Level.WARN), ("503 No", Level.FAIL)]
)
def test_site_is_judged_by_its_answer(status: str, level: Level) -> None:
    """A status that browsers may not get is a warning. A failure of the server is a failure."""
    with answering(http(status)) as address:
        (site,) = network.check_network(make_settings(tiktok_url=f"http://{address}/"))
    assert site.level is level
    assert site.found == f"http://{address}/ answers with HTTP {status[:3]}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (NOWHERE, "Connection refused"),
        ("http://nowhere.invalid/", "its name does not resolve"),
    ],
)
def test_site_that_can_not_be_reached_fails(url: str, why: str) -> None:
    """The message gives the network's own reason."""
    (site,) = network.check_network(make_settings(tiktok_url=url))
    assert site.level is Level.FAIL
    assert site.found.startswith(f"{url} can't be reached: ")
    assert why in site.found


def test_site_that_does_not_answer_fails_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check doesn't wait forever for a site that accepts connections but is silent."""
    monkeypatch.setattr(network, "ANSWER_S", 0.2)
    with socket.create_server((HOST, 0)) as server:
        url = f"http://{HOST}:{server.getsockname()[1]}/"
        (site,) = network.check_network(make_settings(tiktok_url=url))
    assert (site.level, site.found) == (Level.FAIL, f"{url} can't be reached: no answer within 0.2 s")


def test_site_is_asked_through_the_proxy_without_a_secret_shown() -> None:
    """The proxy answers in place of the site. Its password is not shown."""
    with answering(http("200 OK")) as address:
        settings = make_settings(proxy=f"http://me:canary@{address}", tiktok_url="http://nowhere.invalid/")
        proxy, site = network.check_network(settings)
    assert proxy == Finding("proxy", Level.OK, f"http://***@{address} takes connections")
    assert site == Finding(
        "site", Level.OK, "http://nowhere.invalid/ answers through the proxy with HTTP 200"
    )


def test_proxy_that_refuses_is_blamed_and_not_the_site() -> None:
    """A proxy has a status of its own for asking for a password."""
    with answering(http("407 Proxy Authentication Required")) as address:
        settings = make_settings(proxy=f"http://me:canary@{address}", tiktok_url="https://nowhere.invalid/")
        _proxy, site = network.check_network(settings)
    assert site.level is Level.FAIL
    assert "the proxy refuses: 407" in site.found
    assert "canary" not in repr(site)


def test_missing_proxy_fails_and_the_site_is_not_blamed() -> None:
    """The site can't be checked without the proxy."""
    with socket.create_server((HOST, 0)) as server:
        address = f"{HOST}:{server.getsockname()[1]}"
    (proxy,) = network.check_network(make_settings(proxy=f"http://me:canary@{address}"))
    assert proxy.level is Level.FAIL
    assert proxy.found == f"http://***@{address} can't be reached: Connection refused"


def test_socks_proxy_is_only_asked_for_a_connection() -> None:
    """Our plain requests can't go through a SOCKS proxy; browsers can."""
    with answering(b"") as address:
        proxy, site = network.check_network(make_settings(proxy=f"socks5://{address}"))
    assert (proxy.level, site.level) == (Level.OK, Level.OK)
    assert "was not asked" in site.found
