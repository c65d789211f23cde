"""What hosts and browsers see of the environment: the listed variables, and their own directories."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.actors.browser.cells import environment
from greenroom.actors.browser.cells.environment import (
    browser_environment,
    host_environment,
    make_places,
    places,
    python_command,
)
from greenroom.actors.browser.engines import find_camoufox

FOREIGN = {
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/0/bus",
    "FONTCONFIG_FILE": "/fonts.conf",
    "GREENROOM_TOKEN": "hunter2",
    "HTTPS_PROXY": "http://user:hunter2@proxy",
    "LD_LIBRARY_PATH": "/lib",
    "LD_PRELOAD": "/missing.so",
    "MOZ_LOG": "all:5",
    "NODE_OPTIONS": "--require /missing.js",
    "PLAYWRIGHT_NODEJS_PATH": "/missing",
    "PWDEBUG": "1",
    "PYTHONHOME": "/missing",
    "PYTHONPATH": "/missing",
    "SSH_AUTH_SOCK": "/agent",
    "SSLKEYLOGFILE": "/keys",
    "XDG_SESSION_ID": "1",
    "http_proxy": "http://user:hunter2@proxy",
}
KEPT = {"PATH": "/bin", "LANG": "de_DE.UTF-8", "LC_TIME": "C", "TZ": "UTC"}
X11 = {"DISPLAY": ":0", "XAUTHORITY": "/xauth"}


def browser(inherited: dict[str, str], *, headless: bool = True) -> dict[str, str]:
    """Return the environment of a browser whose daemon has inherited these variables."""
    of_host = host_environment(inherited, marker="o.h", scratch="/h")
    return browser_environment(of_host, marker="o.a", scratch="/s", headless=headless)


def test_nothing_meant_for_other_programs_is_passed_on() -> None:
    """Nothing else, secrets included, reaches a host or a browser in it."""
    inherited = FOREIGN | KEPT | X11 | {"HOME": "/root"}
    own = {"GREENROOM_CELL": "o.h"} | places("/h")
    assert host_environment(inherited, marker="o.h", scratch="/h") == KEPT | X11 | own
    own = {"GREENROOM_CELL": "o.a", "MOZ_CRASHREPORTER_DISABLE": "1"} | places("/s")
    assert browser(inherited) == KEPT | own
    assert browser(inherited, headless=False) == KEPT | X11 | own


@pytest.mark.parametrize(
    ("inherited", "shown"),
    [
        ({}, {}),
        ({"DISPLAY": "", "WAYLAND_DISPLAY": ""}, {}),
        ({"DISPLAY": ":0"}, {"DISPLAY": ":0"}),
        ({"DISPLAY": ":0", "HOME": "/me"}, {"DISPLAY": ":0", "XAUTHORITY": "/me/.Xauthority"}),
        (
            {"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": "/run/user/1"},
            {"WAYLAND_DISPLAY": "/run/user/1/wayland-0"},
        ),
        ({"WAYLAND_DISPLAY": "/w", "XDG_RUNTIME_DIR": "/run/user/1"}, {"WAYLAND_DISPLAY": "/w"}),
    ],
)
def test_screen_is_reached_from_a_private_home(inherited: dict[str, str], shown: dict[str, str]) -> None:
    """Paths that default to the user's home or runtime directory are given in full."""
    assert browser(inherited, headless=False).items() >= shown.items()
    names = {"DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY"}
    assert names & browser(inherited, headless=False).keys() == shown.keys()
    assert not names & browser(inherited).keys()


@pytest.mark.parametrize("home", ["/", "", "/nonexistent", "/proc", None])
def test_places_are_private_whatever_the_home_is(tmp_path: Path, home: str | None) -> None:
    """Each variable names a separate directory that can be written to."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    make_places(str(scratch))
    inherited = KEPT if home is None else KEPT | {"HOME": home, "XDG_RUNTIME_DIR": "/nonexistent"}
    seen = host_environment(inherited, marker="o.h", scratch=str(scratch))
    names = [name for name in seen if name.startswith(("HOME", "XDG_", "TMPDIR"))]
    assert len(names) == 7
    for name in names:
        assert scratch in {Path(seen[name]), Path(seen[name]).parent}
        (Path(seen[name]) / "file").touch()


def test_our_modules_are_found_however_this_process_found_them(tmp_path: Path) -> None:
    """An isolated Python finds our modules even if they come from PYTHONPATH or the user's site directory."""
    (tmp_path / "elsewhere.py").write_text(
        "import sys; from greenroom.actors.owner import MARKER; print(MARKER, *sys.argv[1:])"
    )
    code = (
        "import subprocess; from greenroom.actors.browser.cells.environment import python_command;"
        "subprocess.run(python_command('elsewhere', 'a b'), env={}, cwd='/', check=True)"
    )
    checkout = Path(environment.__file__).parents[4]
    site = [path for path in sys.path if path.endswith("site-packages")]
    path = os.pathsep.join([str(tmp_path), str(checkout), *site])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("GREENROOM_CELL a b\n", "")


def test_variables_meant_for_python_do_not_reach_ours(tmp_path: Path) -> None:
    """Neither PYTHON* variables nor files in the working directory reach our processes."""
    (tmp_path / "json.py").write_text("raise SystemExit('wrong')")
    show = python_command("json.tool", "--compact")
    environ = {"PYTHONHOME": "/missing", "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "/missing"}
    done = subprocess.run(show, env=environ, cwd=tmp_path, input=b"[1]", capture_output=True, check=True)
    assert json.loads(done.stdout) == [1]


def test_user_without_a_home_has_no_camoufox(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container under an arbitrary uid, without HOME, works too."""

    def refuse(*_args: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("CAMOUFOX_EXECUTABLE_PATH", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", refuse)
    assert find_camoufox() is None
