"""What is shipped to run Greenroom as a service: systemd's unit, and the container's files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.web.rlimits import Limits, check_limits
from greenroom.web.settings import DaemonSettings
from greenroom.web.settings.daemon import ENV_PREFIX
from greenroom.web.settings.sources import CONFIG_VARIABLE
from greenroom.web.systemd import STOP_MARGIN_S

DEPLOY = Path(__file__).parent.parent / "deploy"
UNIT = DEPLOY / "systemd" / "greenroom.service"
INSTALLED = "/opt/greenroom/.venv/bin/greenroom"
MAX_EXPOSURE = 30
"""What `systemd-analyze security` may say at most, from 0 to 100. Systemd 252 says 28."""


def options(name: str) -> list[str]:
    """Return the values that the unit gives an option."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the command of this installation."""
    path = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert f"ExecStart={INSTALLED} serve\n" in text
    path.write_text(text.replace(INSTALLED, str(Path(sys.executable).with_name("greenroom"))))
    return path


def analyze(*args: str | Path) -> str:
    """Run systemd-analyze, which needs no running systemd; return what it says."""
    done = subprocess.run(
        ["systemd-analyze", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_unit_is_understood_by_systemd(unit: Path) -> None:
    """It has no option that is unknown, misspelt or has no effect."""
    assert analyze("verify", "--man=no", unit) == ""


def test_unit_stays_as_strict_as_it_is(unit: Path) -> None:
    """By systemd's own measure."""
    analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", unit)


def test_unit_gives_the_daemon_what_it_needs() -> None:
    """Files, tasks and time to stop suffice for the default settings."""
    settings = DaemonSettings()
    (files,), (tasks,) = options("LimitNOFILE"), options("TasksMax")
    check_limits(settings, Limits(files=int(files), threads=int(tasks)))
    (stop_s,) = options("TimeoutStopSec")
    assert int(stop_s) >= settings.drain_grace + STOP_MARGIN_S
    assert options("RestartPreventExitStatus") == ["2"]
    assert f"{CONFIG_VARIABLE}=/etc/greenroom/greenroom.toml" in options("Environment")


@pytest.mark.parametrize(
    "option", ["ProtectKernelTunables", "ProtectKernelLogs", "ProcSubset", "MemoryDenyWriteExecute"]
)
def test_unit_leaves_out_what_bubblewrap_or_firefox_can_not_do_with(option: str) -> None:
    """Found by trying; docs/operations.md says what happens."""
    assert options(option) == []


def test_files_for_containers_name_settings_that_there_are() -> None:
    """A misspelt one would keep the daemon from starting."""
    text = "".join((DEPLOY / "docker" / name).read_text() for name in ("Dockerfile", "compose.yaml"))
    named = set(re.findall(rf"\b{ENV_PREFIX}([A-Z_]+)\b", text))
    assert named >= {"BIND", "TOKEN", "SANDBOX"}
    known = {field.name.upper() for field in DaemonSettings.__attrs_attrs__}
    assert named <= known


def test_profiles_are_kept_out_of_images() -> None:
    """Whoever gets an image would get the login."""
    ignored = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {"**/user_data*", ".venv", ".git"} <= set(ignored)
