"""The daemon as an operator runs it: its own process, settings, signals, exit."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from greenroom.actors.owner import MARKER
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.real.conftest import GREENROOM, POLL_S, clones_in, running

pytestmark = pytest.mark.browser


@pytest.fixture
def config_file(settings: DaemonSettings, tmp_path: Path) -> Path:
    """The settings in a TOML file, without the master profile."""
    file = tmp_path / "greenroom.toml"
    file.write_text(
        "[greenroom]\n"
        'bind = "127.0.0.1:0"\n'
        f"tiktok_url = {json.dumps(settings.tiktok_url)}\n"
        "drain_grace = 1\n"
        "warm_sessions = 0\n"
        f"clones_dir = {json.dumps(str(settings.clones_dir))}\n"
    )
    return file


def test_signal_ends_live_and_launching_sessions_and_exits_0(
    config_file: Path, settings: DaemonSettings
) -> None:
    """A daemon that is told to stop leaves nothing, whatever its sessions are doing.

    CAMOUFOX_USER_DATA_DIR names the master, and the daemon says which one it uses.
    """
    master = str(settings.user_data_master_dir)
    command = ("serve", "--config", str(config_file), "--engine", "firefox")
    with running(*command, CAMOUFOX_USER_DATA_DIR=master) as (process, said):
        assert said["engine"].startswith("firefox ")
        assert said["master profile"] == master
        assert httpx.post(f"{said['address']}/tiktok/session", timeout=patience(60)).status_code == 200
        with subprocess.Popen(
            ["curl", "-s", "-X", "POST", f"{said['address']}/tiktok/session"], stdout=subprocess.PIPE
        ) as launching:
            _wait_for(lambda: len(clones_in(settings.clones_dir)) == 2)
            process.send_signal(signal.SIGTERM)
            answer, _ = launching.communicate(timeout=patience(20))
        assert json.loads(answer)["error_details"]["code"] == "DRAINING"
        assert process.wait(patience(20)) == 0
    assert clones_in(settings.clones_dir) == []
    assert _marked_by(settings) == []


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
def test_killed_daemon_leaves_no_process_and_its_successor_no_directory(
    config_file: Path, settings: DaemonSettings, sandbox: str
) -> None:
    """With a session live, everything but the clone is gone within 5 s; the next start sweeps that."""
    master = str(settings.user_data_master_dir)
    env = {"GREENROOM_SANDBOX": sandbox, "CAMOUFOX_USER_DATA_DIR": master}
    command = ("serve", "--config", str(config_file), "--engine", "firefox")
    with running(*command, **env) as (process, said):
        assert httpx.post(f"{said['address']}/tiktok/session", timeout=patience(60)).status_code == 200
        assert len(clones_in(settings.clones_dir)) == 1
        process.kill()
        process.wait(patience(5))
        _wait_for(lambda: _marked_by(settings) == [], within_s=5)
    assert len(clones_in(settings.clones_dir)) == 1
    with running(*command, **env) as (_process, said):
        assert clones_in(settings.clones_dir) == []
        leaks = httpx.get(f"{said['address']}/leaks", timeout=patience(10)).json()
        assert leaks["message"] == "Nothing is leaked"
    assert list(settings.clones_dir.iterdir()) == []


def test_demo_shows_the_main_job_and_exits_0(tmp_path: Path) -> None:
    """The first thing that the README shows works, from its first line to the empty count at the end."""
    demo = subprocess.run(
        [*GREENROOM, "demo", "--engine", "firefox"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    for outcome in ("200", "409 NOT_LOGGED_IN", "423 USER_DATA_LOCKED", "processes left", "clones left"):
        assert outcome in demo.stdout
    assert "WRONG" not in demo.stdout
    assert (tmp_path / "demo" / "session.png").read_bytes().startswith(b"\x89PNG")


def _marked_by(settings: DaemonSettings) -> list[psutil.Process]:
    """Return the processes in the cells of any daemon that keeps its clones in this test's directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if MARKER in process.environ() and str(settings.clones_dir) in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _wait_for(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + patience(within_s)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)
