"""The daemon as a service: signals to all its processes, and an environment meant for other programs."""

import contextlib
import json
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.real.conftest import POLL_S, running

pytestmark = pytest.mark.browser


def test_signal_to_all_processes_drains_the_daemon_and_harms_no_browser(
    settings: DaemonSettings, tmp_path: Path
) -> None:
    """One of two sessions is then deleted and quits politely. The other goes on until it is deleted too.

    Nothing is left in the user's home, and environment variables meant for other programs do no harm.
    """
    home = tmp_path / "home"
    home.mkdir()
    environ = {
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "HOME": str(home),
        "NODE_OPTIONS": "--require /missing.js",
        "PLAYWRIGHT_NODEJS_PATH": "/missing",
    }
    file = tmp_path / "greenroom.toml"
    file.write_text(
        "[greenroom]\n"
        'bind = "127.0.0.1:0"\nengine = "firefox"\nwarm_sessions = 0\ndrain_grace = 60\n'
        f"tiktok_url = {json.dumps(settings.tiktok_url)}\n"
        f"user_data_master_dir = {json.dumps(str(settings.user_data_master_dir))}\n"
        f"clones_dir = {json.dumps(str(settings.clones_dir))}\n"
    )
    with running("serve", "--config", str(file), **environ) as (daemon, said):
        address = said["address"]
        created = [httpx.post(f"{address}/tiktok/session", timeout=patience(60)) for _ in range(2)]
        assert [answer.status_code for answer in created] == [200, 200]
        first, second = (f"{address}{answer.headers['Location']}" for answer in created)
        for process in psutil.Process(daemon.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # Firefox itself ends some of its processes
                assert "hunter2" not in str(process.environ())
                process.send_signal(signal.SIGTERM)
        daemon.terminate()
        while httpx.post(f"{address}/tiktok/session", timeout=patience(60)).status_code != 503:
            time.sleep(POLL_S)
        assert httpx.delete(first, timeout=patience(20)).status_code == 204
        ended = httpx.get(first, timeout=patience(5)).json()["session"]
        assert ended["receipt"]["reason"] == "deleted"
        assert ended["receipt"]["processes"]["politely"] > 0
        assert httpx.get(second, timeout=patience(5)).json()["session"]["state"] == "live"
        assert httpx.delete(second, timeout=patience(20)).status_code == 204
        assert daemon.wait(patience(20)) == 0
    assert list(home.iterdir()) == []
