"""The daemon as its operator runs it: a process of its own, its settings, its signals, its end."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from actors.browser.cells import MARKER
from tests.real.conftest import GREENROOM, POLL_S, running
from web.settings import DaemonSettings

pytestmark = pytest.mark.browser


@pytest.fixture
def config_file(settings: DaemonSettings, tmp_path: Path) -> Path:
    """Settings in a TOML file."""
    file = tmp_path / "greenroom.toml"
    file.write_text(
        "[greenroom]\n"
        'bind = "127.0.0.1:0"\n'
        f"tiktok_url = {json.dumps(settings.tiktok_url)}\n"
        f"user_data_master_dir = {json.dumps(str(settings.user_data_master_dir))}\n"
        f"clones_dir = {json.dumps(str(settings.clones_dir))}\n"
    )
    return file


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_signal_ends_live_and_launching_sessions_and_exits_0(
    config_file: Path, settings: DaemonSettings, number: signal.Signals
) -> None:
    """The daemon leaves nothing when it is told to stop, whatever its sessions are doing."""
    with running("serve", "--config", str(config_file), "--engine", "firefox") as (process, said):
        assert said["engine"].startswith("firefox ")
        assert said["master profile"] == str(settings.user_data_master_dir)
        assert httpx.post(f"{said['address']}/tiktok/session", timeout=60).status_code == 200
        with subprocess.Popen(
            ["curl", "-s", "-X", "POST", f"{said['address']}/tiktok/session"], stdout=subprocess.PIPE
        ) as launching:
            _wait_for(lambda: len(_clones(settings)) == 2)
            process.send_signal(number)
            answer, _ = launching.communicate(timeout=20)
        assert json.loads(answer)["error_details"]["code"] == "DRAINING"
        assert process.wait(20) == 0
    assert _clones(settings) == []
    assert _marked_by(settings) == []


def test_killed_daemon_leaves_no_process(config_file: Path, settings: DaemonSettings) -> None:
    """With the sandbox, the kernel ends every browser when the daemon is killed, without any help."""
    command = ("serve", "--config", str(config_file), "--engine", "firefox")
    with running(*command, TMPDIR=str(settings.clones_dir.parent)) as (process, said):
        assert httpx.post(f"{said['address']}/tiktok/session", timeout=60).status_code == 200
        assert _marked_by(settings) != []
        process.kill()
        process.wait(5)
        _wait_for(lambda: _marked_by(settings) == [], within_s=5)


def test_master_profile_comes_from_its_environment_variable(settings: DaemonSettings, tmp_path: Path) -> None:
    """CAMOUFOX_USER_DATA_DIR names the master, and the daemon says which one it uses."""
    master = str(settings.user_data_master_dir)
    command = ("serve", "--bind", "127.0.0.1:0", "--engine", "firefox")
    with running(*command, CAMOUFOX_USER_DATA_DIR=master) as (_process, said):
        assert said["master profile"] == master


def test_demo_shows_the_main_job_and_exits_0() -> None:
    """What the README shows first works, from its first line to the empty count at its end."""
    demo = subprocess.run(
        [*GREENROOM, "demo", "--engine", "firefox"], capture_output=True, text=True, check=False, timeout=120
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    for outcome in ("200", "409 NOT_LOGGED_IN", "423 USER_DATA_LOCKED", "processes left", "clones left"):
        assert outcome in demo.stdout
    assert "WRONG" not in demo.stdout


def _clones(settings: DaemonSettings) -> list[Path]:
    return list(settings.clones_dir.iterdir()) if settings.clones_dir.exists() else []


def _marked_by(settings: DaemonSettings) -> list[psutil.Process]:
    """Return the processes of any daemon's cells that work in this test's clones."""
    found = []
    for process in psutil.process_iter():
        try:
            if MARKER in process.environ() and str(settings.clones_dir) in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _wait_for(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)
