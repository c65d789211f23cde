"""The daemon as systemd runs it: without a home, with the journal, a socket's file and a watchdog."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.patience import patience

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
PATIENCE_S = patience(20)


@attrs.frozen
class Service:
    """A running daemon, and what it tells systemd."""

    process: "subprocess.Popen[bytes]"
    environment: dict[str, str]
    notices: socket.socket
    log: int

    def hear(self, wanted: str) -> str:
        """Return the next message that has `wanted` in it."""
        while wanted not in (message := self.notices.recv(4096).decode()):
            pass
        return message

    def run(self, *args: str) -> "subprocess.CompletedProcess[str]":
        """Run a command with the daemon's settings."""
        return subprocess.run(
            [GREENROOM, *args],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A daemon at a socket, in an environment that has no HOME."""
    folder = tmp_path_factory.mktemp("service")
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": os.environ["TMPDIR"],
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_STATE_HOME": str(folder / "state"),  # not in the home that the password database names
        "GREENROOM_BIND": f"unix:{folder}/greenroom.sock",
        "GREENROOM_SOCKET_MODE": "0660",
        "GREENROOM_ENGINE": "firefox",
        "GREENROOM_USER_DATA_MASTER_DIR": str(folder / "profile"),
    }
    reading, writing = os.pipe()
    found = os.fstat(writing)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(f"{folder}/notify")
        notices.settimeout(PATIENCE_S)
        told = {
            "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}",
            "NOTIFY_SOCKET": f"{folder}/notify",
            "WATCHDOG_USEC": "2000000",
        }
        command = [GREENROOM, "serve"]
        process = subprocess.Popen(
            command, env=environment | told, cwd=folder, stdout=subprocess.DEVNULL, stderr=writing
        )
        os.close(writing)
        try:
            yield Service(process, environment, notices, reading)
        finally:
            process.kill()
            process.wait()
            os.close(reading)


def test_service_is_ready_answers_commands_feeds_the_watchdog_and_stops(service: Service) -> None:
    """All of it in one life, since to start a process takes longer than the rest."""
    path = Path(service.environment["GREENROOM_BIND"].removeprefix("unix:"))
    service.hear("READY=1")
    assert path.stat().st_mode & 0o777 == 0o660
    listed = service.run("session", "list")
    none = "There is no session: `greenroom session new` makes one\n"
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", none)
    second = service.run("serve")
    assert second.returncode == 1
    assert second.stderr.endswith(
        f"greenroom: Can't listen on 'unix:{path}': something listens there already\n"
    )
    assert "STATUS=0 sessions" in service.hear("WATCHDOG=1")
    assert [*(path.parent / "cache" / "greenroom").iterdir()] == [path.parent / "cache/greenroom/clones"]

    service.process.send_signal(signal.SIGTERM)
    assert "EXTEND_TIMEOUT_USEC=70000000" in service.hear("STOPPING=1")
    assert service.process.wait(PATIENCE_S) == 0
    assert not path.exists()
    assert (path.parent / "state" / "greenroom" / "history.sqlite3").exists()
    with os.fdopen(os.dup(service.log)) as log:
        lines = log.read().splitlines()
    assert all(re.match(r"<[3-6]>\[(error|warning|info) +\] ", line) for line in lines)
    assert any(line.startswith("<4>") and "stealth is off" in line for line in lines)
    assert lines[-1].startswith("<6>[info     ] stopped ")
