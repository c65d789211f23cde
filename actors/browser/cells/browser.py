"""A browser's own cell inside its host's: what it sees of the machine, and that it dies as a whole.

In it the browser has its own PID namespace and no rights beyond those of a file's owner. It sees the system
read-only, its own clone, a private /tmp and home, and neither the master profile nor any other clone.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from greenroom.actors.browser.cells.binds import Binds, Private
from greenroom.actors.browser.cells.environment import ARTIFACTS, DOWNLOADS
from greenroom.actors.browser.cells.sandbox import Rights, browser_devices, browser_isolation, cell_ids

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
    """Return the command that runs `executable` on `profile` in a cell, up to but not including `--`.

    The cell's /tmp and home are new directories in `scratch`, so that anything a page downloads there counts
    towards the session's disk space and is removed with it. Blocks. Raises `OSError`, and
    `SandboxUnavailable` if the browser can't be shown without something private.
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
        alone = []  # X11's MIT-SHM extension shares memory for pictures between programs and the display
        binds.show_unless_private(*display_paths(environ))
        variables |= _display_variables(environ)
    binds.own(profile)
    for name in (DOWNLOADS, ARTIFACTS):  # under their real paths, which the driver and the browser exchange
        binds.own(_folder(scratch / name))
    command = [
        *browser_isolation(rights),
        *alone,
        *binds.arguments,
        *browser_devices(),
    ]
    command += ["--remount-ro", "/etc"]  # last, since bubblewrap creates mount points in it
    for name, value in variables.items():
        command += ["--setenv", name, value]
    return command


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _make_etc(folder: Path, rights: Rights) -> Path:
    """Make an /etc with only the cell's own account, and the machine's present name servers and time zone.

    The files are copied instead of bound: a cell with many mounts is slow to make, and the host's view may
    still have other name servers.
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
    """Return the directory of the user's font cache."""
    cache = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '')}/.cache"
    return Path(cache, "fontconfig")


def display_paths(environ: Mapping[str, str]) -> list[str]:
    """Return the paths through which a program reaches the display, under X11 and Wayland."""
    paths = ["/tmp/.X11-unix"]  # noqa: S108  # where X11 has its sockets
    return [*paths, *_display_variables(environ).values()]


def _display_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name such paths, in full, since the cell has another home and runtime dir."""
    variables = {}
    if "XAUTHORITY" in environ:
        variables["XAUTHORITY"] = environ["XAUTHORITY"]
    elif "HOME" in environ:
        variables["XAUTHORITY"] = f"{environ['HOME']}/.Xauthority"
    if "XDG_RUNTIME_DIR" in environ and "WAYLAND_DISPLAY" in environ:
        variables["WAYLAND_DISPLAY"] = str(Path(environ["XDG_RUNTIME_DIR"], environ["WAYLAND_DISPLAY"]))
    return variables
