"""A browser's own cell inside its host's: what it sees of the machine, and that it dies as one.

The driver launches an executable; where bubblewrap runs, that is a two-line script that runs the browser in a
PID namespace of its own. There it sees the system read-only, its own clone, a private /tmp and home, and
neither the master profile nor any other clone.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

# What programs, fonts, certificates and name resolution live in. A path that is not there is left out.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix/store", "/sys")
_TEMPORARY, _HOME = "cell-tmp", "cell-home"
# Without it, each of a browser's processes reads all fonts anew: 0.3 s of a launch.
_FONTS = "/var/cache/fontconfig"
# Camoufox's package writes one to its cache, for the fonts of its bundle.
_FONTS_FILE = '${FONTCONFIG_FILE:+--ro-bind-try "$FONTCONFIG_FILE" "$FONTCONFIG_FILE"}'
_RESOLVER = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager")


def write_browser_cell(
    script: Path, *, executable: Path, profile: Path, headless: bool, environ: Mapping[str, str] = os.environ
) -> None:
    """Write `script`, which runs `executable` on `profile` in a cell, with the arguments it is given.

    The cell's /tmp and home are new directories beside the script: what a page downloads there is counted
    with the session's disk space, and goes with it. Blocks; raises `OSError`.
    """
    for name in (_TEMPORARY, _HOME):
        (script.parent / name).mkdir(mode=0o700, exist_ok=True)
    cell = shlex.join(_cell_command(profile, script.parent, headless, environ))
    browser = executable.resolve()
    bundle = shlex.join(["--ro-bind", str(browser.parent), str(browser.parent), "--", str(browser)])
    script.write_text(f'#!/bin/sh\nexec {cell} {_FONTS_FILE} {bundle} "$@"\n')
    script.chmod(0o700)


def _cell_command(profile: Path, scratch: Path, headless: bool, environ: Mapping[str, str]) -> list[str]:
    command = ["bwrap", "--die-with-parent", "--unshare-pid", "--proc", "/proc", "--dev", "/dev"]
    command += ["--tmpfs", "/dev/shm", "--dev-bind-try", "/dev/dri", "/dev/dri"]  # noqa: S108  # inside the cell
    for path in (*_SYSTEM, *_RESOLVER, _FONTS):
        command += ["--ro-bind-try", path, path]
    command += ["--bind", str(scratch / _TEMPORARY), "/tmp"]  # noqa: S108  # inside the cell
    command += ["--setenv", "TMPDIR", "/tmp"]  # noqa: S108  # inside the cell
    home = environ.get("HOME")
    if home:
        command += ["--bind", str(scratch / _HOME), home]
        fonts = f"{environ.get('XDG_CACHE_HOME') or f'{home}/.cache'}/fontconfig"
        command += ["--ro-bind-try", fonts, fonts]
    if not headless:
        for path in _display(environ):
            command += ["--ro-bind-try", path, path]
    return [*command, "--bind", str(profile), str(profile)]


def _display(environ: Mapping[str, str]) -> list[str]:
    """Return the paths by which a program reaches the screen, under X11 and Wayland."""
    paths = ["/tmp/.X11-unix"]  # noqa: S108  # where X11 has its sockets
    if "XAUTHORITY" in environ:
        paths.append(environ["XAUTHORITY"])
    elif "HOME" in environ:
        paths.append(f"{environ['HOME']}/.Xauthority")
    if "XDG_RUNTIME_DIR" in environ and "WAYLAND_DISPLAY" in environ:
        paths.append(f"{environ['XDG_RUNTIME_DIR']}/{environ['WAYLAND_DISPLAY']}")
    return paths
