"""Unix sockets: who may connect, what becomes of the file, and how clients and commands use them."""

import fcntl
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import trio

from greenroom.client import Client
from greenroom.supervisor.config import InvalidSetting
from greenroom.web.client.reaching import open_async_client
from greenroom.web.commands.desk import open_desk
from greenroom.web.http.listening import BindFailed, open_listener, open_socket_file
from greenroom.web.settings import DaemonSettings
from tests.web.http.front import open_front

GREENROOM = str(Path(sys.executable).with_name("greenroom"))


def leave_dead(path: Path) -> None:
    """Leave the file of a daemon that was killed."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_file_has_its_mode_whatever_the_umask_and_goes_in_the_end(
    tmp_path: Path, mode: int, umask: int
) -> None:
    """The mode is what lets clients in."""
    path = tmp_path / "socket"
    before = os.umask(umask)
    try:
        with open_socket_file(path, mode):
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)
    assert not path.exists()


def test_file_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    """A killed daemon leaves its file behind."""
    path = tmp_path / "socket"
    leave_dead(path)
    with open_socket_file(path, 0o600), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_socket_that_somebody_listens_on_is_refused_and_stays(tmp_path: Path) -> None:
    """Two daemons never share an address."""
    path = tmp_path / "socket"
    with open_socket_file(path, 0o600):
        with (
            pytest.raises(BindFailed, match="something listens there"),
            open_socket_file(path, 0o600),
        ):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_file_that_is_no_socket_is_refused_and_stays(tmp_path: Path) -> None:
    """The daemon deletes nobody's data."""
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(BindFailed, match="there is a file that is no socket"), open_socket_file(path, 0o600):
        pass
    assert path.read_text() == "mine"


def test_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """The reason is the system's."""
    with (
        pytest.raises(BindFailed, match="/none/socket': No such file or directory"),
        open_socket_file(tmp_path / "none" / "socket", 0o600),
    ):
        pass


def test_file_of_the_next_daemon_is_left_alone(tmp_path: Path) -> None:
    """Somebody has moved ours away, and another one has its place."""
    path = tmp_path / "socket"
    with open_socket_file(path, 0o600):
        path.unlink()
        leave_dead(path)
    assert path.exists()


def test_socket_of_the_next_daemon_stays_when_the_first_one_ends(tmp_path: Path) -> None:
    """The first one listens no more while it ends. Its file's inode must not be the second one's by then."""
    path = tmp_path / "socket"
    for _ in range(20):  # a filesystem may give an inode to another file at once, or not
        with ExitStack() as first, ExitStack() as second:
            first.enter_context(open_socket_file(path, 0o600)).close()
            second.enter_context(open_socket_file(path, 0o600))
            first.close()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
        assert list(tmp_path.iterdir()) == []


def test_lock_on_the_folder_keeps_no_daemon_from_starting(tmp_path: Path) -> None:
    """Whoever may read the folder can lock it."""
    path = tmp_path / "socket"
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with open_socket_file(path, 0o600):
            assert list(tmp_path.iterdir()) == [path]
    finally:
        os.close(descriptor)
    assert list(tmp_path.iterdir()) == []


def test_daemons_that_start_at_once_do_not_remove_each_others_file(tmp_path: Path) -> None:
    """The lock, which a killed daemon may leave as a file, is nobody else's to open."""
    path, lock = tmp_path / "socket", tmp_path / "socket.lock"
    leave_dead(path)
    lock.touch(0o600)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BindFailed), open_socket_file(path, 0o600):
            pass
        assert path.exists()
    with open_socket_file(path, 0o600):
        assert not lock.exists()


@pytest.mark.parametrize("kind", ["link", "file", "directory"])
def test_file_put_in_place_of_the_socket_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Between bind and chmod somebody else, who may write to the folder, has replaced it."""
    path, victim = tmp_path / "socket", tmp_path / "victim"
    victim.write_text("secret")
    victim.chmod(0o600)
    bind = socket.socket.bind

    def bind_and_lose(listening: socket.socket, address: str) -> None:
        bind(listening, address)
        path.unlink()
        if kind == "link":
            path.symlink_to(victim)
        elif kind == "file":
            path.hardlink_to(victim)
        else:
            path.mkdir(0o600)

    monkeypatch.setattr(socket.socket, "bind", bind_and_lose)
    with pytest.raises(BindFailed, match="another file"), open_socket_file(path, 0o660):
        pass
    assert victim.stat().st_mode & 0o777 == path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("bind", ["unix:", "unix:socket", "unix:/", "unix:/" + "x" * 107])
def test_paths_that_no_socket_can_have_are_refused(bind: str) -> None:
    """They must be absolute, and no longer than the kernel takes."""
    with pytest.raises(InvalidSetting, match="or unix:/PATH"):
        DaemonSettings(bind=bind)


def test_socket_needs_no_token_since_its_mode_keeps_others_out() -> None:
    """It counts as loopback; wider modes than the group's can't be set."""
    settings = DaemonSettings(bind="unix:/run/greenroom/greenroom.sock")
    assert (settings.is_loopback, settings.address, settings.url) == (True, None, settings.bind)
    with pytest.raises(InvalidSetting, match="socket_mode"):
        DaemonSettings(socket_mode="0666")


async def test_clients_and_commands_use_a_session_over_the_socket(tmp_path: Path) -> None:
    """They say localhost; a name of allowed_hosts, which a proxy passes on, is taken, and others are not."""
    bind = f"unix:{tmp_path}/greenroom.sock"
    async with (
        open_front(bind=bind, allowed_hosts="green.example") as front,
        open_async_client(bind) as client,
    ):
        assert front.url == bind
        path = (await client.post("/tiktok/session")).headers["Location"]
        assert (await client.get(f"{path}/playwright")).json()["address"].startswith("ws://localhost/")
        with Client(bind) as blocking:
            (found,) = await trio.to_thread.run_sync(blocking.sessions)
        assert path.endswith(found.id)
        for host, status in (("localhost:8700", 200), ("green.example", 200), ("evil.example", 403)):
            assert (await client.get("/health", headers={"Host": host})).status_code == status
        body = {"actions": [{"kind": "navigate", "url": "http://127.0.0.1:8700/"}]}
        answer = await client.post(f"{path}/actions", json=body)
        assert answer.status_code == httpx.codes.OK  # a page can't reach the socket, whatever the port
        async with open_desk(DaemonSettings(bind=bind), own=False) as desk:
            assert not desk.is_own
        command = [GREENROOM, "session", "--url", bind, "attach", found.id]
        attached = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        assert (attached.returncode, attached.stdout) == (1, b"")
        said = attached.stderr.decode()
        assert f"Run `ssh -L 8700:{tmp_path}/greenroom.sock " in said
        assert f"connect to ws://127.0.0.1:8700{path}/playwright" in said
    assert not (tmp_path / "greenroom.sock").exists()


async def test_connections_notice_a_peer_that_has_gone_without_a_word() -> None:
    """The kernel asks an idle peer now and then, so a WebSocket that says nothing does not stay for ever."""
    async with open_listener("127.0.0.1:0") as (listening, _url):
        with socket.create_connection(listening.getsockname()):
            await trio.lowlevel.wait_readable(listening)
            with listening.accept()[0] as accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                idle_s, every_s, times = (
                    accepted.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                )
                assert idle_s + every_s * times <= 120
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000
