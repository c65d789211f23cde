"""What systemd is told, as it arrives at a socket like its own."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.api import Supervisor, open_supervisor
from greenroom.web.systemd import STATUS_S, notify, notify_alive, notify_stopping
from tests.web.http.front import make_settings


class Silent(Supervisor):
    """A supervisor that does not answer."""

    def __init__(self) -> None:
        pass

    async def count_sessions(self) -> object:  # type: ignore[override]
        """Wait for ever."""
        await trio.sleep_forever()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that systemd reads."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reading:
        reading.bind(str(tmp_path / "notify"))
        reading.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield reading


def heard(reading: socket.socket) -> list[str]:
    """Return the messages that have come."""
    messages = []
    while True:
        try:
            messages.append(reading.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_messages_arrive_and_stopping_has_as_long_as_the_grace_needs(systemd: socket.socket) -> None:
    """TimeoutStopSec= need not follow drain_grace."""
    notify("READY=1")
    notify_stopping(600)
    assert heard(systemd) == ["READY=1", "STOPPING=1\nSTATUS=Stopping\nEXTEND_TIMEOUT_USEC=660000000"]


def test_abstract_sockets_are_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd writes them with @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reading:
        reading.bind("\0greenroom-test-notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "@greenroom-test-notify")
        notify("READY=1")
        assert reading.recv(100) == b"READY=1"


@pytest.mark.parametrize("path", ["", "/nowhere/notify", "x" * 200])
def test_without_systemd_nothing_happens(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon runs just as well."""
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    notify("READY=1")


def test_systemd_that_reads_nothing_holds_nobody_up(systemd: socket.socket) -> None:
    """Messages that don't fit are dropped."""
    for _ in range(10_000):
        notify("WATCHDOG=1")
    assert 0 < len(heard(systemd)) < 10_000


@pytest.mark.parametrize(
    ("watchdog", "period_s"), [("4000000", 2), ("100000000", STATUS_S), (None, STATUS_S)]
)
async def test_daemon_tells_its_sessions_at_half_of_the_watchdogs_time(
    autojump_clock: trio.testing.MockClock,
    systemd: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    watchdog: str | None,
    period_s: float,
) -> None:
    """It stops once the supervisor has, since a service that stops has no watchdog."""
    if watchdog is not None:
        monkeypatch.setenv("WATCHDOG_USEC", watchdog)
    async with (
        trio.open_nursery() as nursery,
        open_supervisor(make_settings(), machine=FakeMachine()) as supervisor,
    ):
        nursery.start_soon(notify_alive, supervisor)
        await trio.sleep(period_s / 2)
        assert heard(systemd) == ["WATCHDOG=1\nSTATUS=0 sessions, 0 warm"]
        await supervisor.create_session()
        await trio.sleep(period_s)
        assert heard(systemd) == ["WATCHDOG=1\nSTATUS=1 sessions, 0 warm"]
    assert heard(systemd) == []


async def test_supervisor_that_does_not_answer_starves_the_watchdog(
    autojump_clock: trio.testing.MockClock, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systemd then restarts the service."""
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    with trio.move_on_after(60):
        await notify_alive(Silent())
    assert heard(systemd) == []


async def test_watchdog_of_another_process_is_not_fed(
    autojump_clock: trio.testing.MockClock, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of the service in which somebody tries out a daemon: only the period tells."""
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    async with open_supervisor(make_settings(), machine=FakeMachine()) as supervisor:
        with trio.move_on_after(STATUS_S / 2):
            await notify_alive(supervisor)
    assert len(heard(systemd)) == 1
