"""`greenroom serve --check`: what it finds, and its exit codes. No browser is launched."""

import logging
import math
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from greenroom.web import rlimits
from greenroom.web.cli import main
from tests.actors.profile.profile_trees import make_profile
from tests.web.http.certificates import make_certificate


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty directory, with a browser and a sandbox that are there but never start."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("firefox", "bwrap"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    for name in list(os.environ):
        if name.startswith("GREENROOM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("CAMOUFOX_USER_DATA_DIR", str(tmp_path / "profile"))
    monkeypatch.setenv("GREENROOM_CLONES_DIR", str(tmp_path / "clones"))
    monkeypatch.setenv("GREENROOM_BIND", "127.0.0.1:0")
    monkeypatch.setenv("GREENROOM_ENGINE", "firefox")
    monkeypatch.chdir(tmp_path)
    root, ours = logging.getLogger(), logging.getLogger("greenroom")
    handlers, levels, config = root.handlers[:], (root.level, ours.level), structlog.get_config()
    yield
    structlog.configure(**config)
    root.handlers[:] = handlers
    for logger, level in zip((root, ours), levels, strict=True):
        logger.setLevel(level)


def check(*args: str, **env: str) -> tuple[int, str]:
    """Run it; return the exit code and what it says, each run of spaces as one."""
    result = CliRunner().invoke(main, ["serve", "--check", *args], env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, re.sub(" +", " ", result.output)


def test_machine_on_which_it_could_serve_exits_0_and_nothing_is_made(tmp_path: Path) -> None:
    """A profile without a login is only a warning: one logs in with the daemon."""
    make_profile(tmp_path / "profile")
    code, said = check()
    assert code == 0
    assert "ok limits enough for 10 sessions" in said
    assert f"warning master profile {tmp_path}/profile" in said
    assert "ok port 127.0.0.1:0 is free" in said
    assert not (tmp_path / "clones").exists()


def test_profile_that_does_not_exist_yet_is_a_warning() -> None:
    """So a service can be started before anybody has logged in."""
    code, said = check()
    assert code == 0
    assert "-> greenroom login" in said


def test_address_that_is_taken_exits_1_and_says_what_to_do() -> None:
    """Somebody else listens there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = check("--bind", f"127.0.0.1:{taken.getsockname()[1]}")
    assert code == 1
    assert "can't be listened on: Address already in use\n" in said
    assert "-> set bind to another address, or stop what uses this one" in said


def test_directory_of_the_socket_that_is_missing_is_to_be_made(tmp_path: Path) -> None:
    """Another address would not help."""
    code, said = check("--bind", f"unix:{tmp_path}/none/greenroom.sock")
    assert code == 1
    assert f"-> make the directory {tmp_path}/none" in said


def test_too_low_a_limit_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as of files, which the daemon can't raise itself."""
    monkeypatch.setattr(rlimits, "raise_limits", lambda: rlimits.Limits(files=128, threads=math.inf))
    code, said = check()
    assert code == 1
    assert "fails limits There is no room for max_sessions=10: a process may open 128 files" in said
    assert "-> raise the hard limit (ulimit -Hn, systemd's LimitNOFILE" in said


def test_key_that_others_can_read_exits_1(tmp_path: Path) -> None:
    """The daemon would not start with it."""
    files = make_certificate(tmp_path / "tls")
    environment = {"GREENROOM_TLS_CERTIFICATE": str(files.certificate), "GREENROOM_TLS_KEY": str(files.key)}
    assert check(**environment)[0] == 0
    files.key.chmod(0o604)
    code, said = check(**environment)
    assert code == 1
    assert "fails tls tls_key " in said
    assert "has mode 0604" in said
    assert f"-> chmod 0600 {files.key}" in said


@pytest.mark.parametrize(("mode", "level"), [(0o644, "warning"), (0o640, "ok")])
def test_settings_file_with_a_token_that_everybody_can_read_is_a_warning(
    tmp_path: Path, mode: int, level: str
) -> None:
    """The token itself is not shown."""
    path = tmp_path / "greenroom.toml"
    path.write_text('[greenroom]\ntoken = "a-token-of-enough-characters"\n')
    path.chmod(mode)
    code, said = check("--config", str(path))
    assert code == 0
    assert f"{level} settings file {path}" in said
    assert "a-token-of" not in said


def test_windows_without_a_display_exit_1() -> None:
    """Every session would fail."""
    code, said = check("--no-headless", DISPLAY=":6100", WAYLAND_DISPLAY="")
    assert code == 1
    assert "fails display There is no display" in said


def test_missing_browser_exits_1(tmp_path: Path) -> None:
    """The fix is a command."""
    (tmp_path / "programs" / "firefox").unlink()
    code, said = check()
    assert code == 1
    assert "-> greenroom install-browser" in said


def test_invalid_setting_exits_2() -> None:
    """Nothing else is looked at."""
    code, said = check(GREENROOM_MAX_SESSIONS="many")
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("greenroom: max_sessions is 'many' (from GREENROOM_MAX_SESSIONS), must be ")


def test_file_of_tokens_that_everybody_can_read_exits_2(tmp_path: Path) -> None:
    """As `serve` does."""
    path = tmp_path / "tokens.toml"
    path.write_text('[one]\ntoken = "a-token-of-enough-characters"\nscope = "read"\n')
    path.chmod(0o600)
    assert check(GREENROOM_TOKENS_FILE=str(path))[0] == 0
    path.chmod(0o644)
    code, said = check(GREENROOM_TOKENS_FILE=str(path))
    assert code == 2
    assert str(path) in said
    assert "a-token-of" not in said
