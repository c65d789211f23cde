"""A browser's own cell inside its host's: what it sees of the machine, and that it dies as one.

There it has a PID namespace of its own and no rights beyond those of a file's owner, and sees the system
read-only, its own clone, a private /tmp and home, and neither the master profile nor any other clone.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from actors.browser.binds import Binds, Private
from actors.browser.sandbox import Rights, browser_devices, browser_isolation, cell_ids

_TEMPORARY, _HOME, _RUN, _ETC = "cell-tmp", "cell-home", "cell-run", "cell-etc"
_ETC_FILES = (
    *("asound.conf", "drirc", "gai.conf", "host.conf", "hosts", "ld.so.conf", "localtime", "mime.types"),
    *("nsswitch.conf", "os-release", "protocols", "resolv.conf", "services", "timezone"),
)
HOME = "/home/browser"
_CACHE = f"{HOME}/.cache"
_RUNTIME = "/run/browser"
_PLACES = {
    "HOME": HOME,
    "TMPDIR": "/tmp",  # noqa: S108  # inside the cell
    "XDG_CACHE_HOME": _CACHE,
    "XDG_CONFIG_HOME": f"{HOME}/.config",
    "XDG_DATA_HOME": f"{HOME}/.local/share",
    "XDG_RUNTIME_DIR": _RUNTIME,
    "XDG_STATE_HOME": f"{HOME}/.local/state",
}


def browser_cell(
    *,
    executable: Path,
    profile: Path,
    scratch: Path,
    headless: bool,
    rights: Rights,
    private: Private,
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """Return the command that runs `executable` on `profile` in a cell, but for `--` and what comes after it.

    The cell's /tmp and home are new directories in `scratch`: what a page downloads there is counted with the
    session's disk space, and goes with it. Blocks; raises `OSError`, and `SandboxUnavailable` where the
    browser can't be shown without what is private.
    """
    binds = Binds(private)
    binds.own(_folder(scratch / _TEMPORARY), "/tmp")  # noqa: S108  # inside the cell
    binds.own(_folder(scratch / _HOME), HOME)
    binds.own(_folder(scratch / _RUN), _RUNTIME)
    binds.own(_make_etc(scratch / _ETC, rights), "/etc")
    binds.show_system()
    binds.show(executable.resolve().parent)
    binds.show_as(find_font_cache(environ), f"{_CACHE}/fontconfig")
    variables = dict(_PLACES)
    alone = ["--unshare-ipc"]
    if not headless:
        alone = []  # a program shares the memory of its pictures with the screen
        binds.show_unless_private(*display_paths(environ))
        variables |= _display_variables(environ)
    binds.own(profile)
    command = [
        *browser_isolation(rights),
        *alone,
        *binds.arguments,
        *browser_devices(),
    ]
    command += ["--remount-ro", "/etc"]
    for name, value in variables.items():
        command += ["--setenv", name, value]
    return command


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _make_etc(folder: Path, rights: Rights) -> Path:
    """Make an /etc with no account but the cell's own, and names and time as the machine has them now.

    They are copied: a cell of many mounts takes long to make, and its host may have seen other name servers.
    """
    _folder(folder)
    uid, gid = cell_ids(rights)
    (folder / "passwd").write_text(f"browser:x:{uid}:{gid}::{HOME}:/bin/sh\n")
    (folder / "group").write_text(f"browser:x:{gid}:\n")
    for name in _ETC_FILES:
        with contextlib.suppress(OSError):
            shutil.copyfile(f"/etc/{name}", folder / name)
    return folder


def find_font_cache(environ: Mapping[str, str]) -> Path:
    """Return where the user's programs keep what they know of fonts."""
    cache = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '')}/.cache"
    return Path(cache, "fontconfig")


def display_paths(environ: Mapping[str, str]) -> list[str]:
    """Return the paths by which a program reaches the screen, under X11 and Wayland."""
    paths = ["/tmp/.X11-unix"]  # noqa: S108  # where X11 has its sockets
    return [*paths, *_display_variables(environ).values()]


def _display_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name such paths, each complete: the cell's home and runtime are others."""
    variables = {}
    if "XAUTHORITY" in environ:
        variables["XAUTHORITY"] = environ["XAUTHORITY"]
    elif "HOME" in environ:
        variables["XAUTHORITY"] = f"{environ['HOME']}/.Xauthority"
    if "XDG_RUNTIME_DIR" in environ and "WAYLAND_DISPLAY" in environ:
        variables["WAYLAND_DISPLAY"] = str(Path(environ["XDG_RUNTIME_DIR"], environ["WAYLAND_DISPLAY"]))
    return variables
