"""What browser hosts and browsers see of the daemon's environment: what is listed here, and nothing else.

The operator's variables may be secrets, or meant for another Node, Python, Firefox or Playwright. HOME, the
XDG directories and TMPDIR are private to each host, so the daemon's don't matter. Left out on purpose are
proxies (a session's comes from our settings), `FONTCONFIG_*` (would override Camoufox's own fonts),
`SSL_CERT_*` (Firefox has its own roots), `LD_*`, and the bus and runtime directory of the user's desktop.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from greenroom import actors
from greenroom.actors.owner import MARKER

# Where programs are, and their language and time zone; LC_* belongs to these.
_GENERAL = ("PATH", "LANG", "LANGUAGE", "TZ")
_DISPLAY = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
# Side by side instead of nested: a recursive removal needs a descriptor for each level.
_PLACES = {
    "HOME": "home",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "config",
    "XDG_DATA_HOME": "data",
    "XDG_STATE_HOME": "state",
    "XDG_RUNTIME_DIR": "run",
}
# Folders of a session's scratch: what its pages download, what its client sent for them, and what the driver
# writes for it: traces, and files that an attached client uploads.
DOWNLOADS, FILES, ARTIFACTS = "downloads", "files", "artifacts"
# In a profile: what Camoufox pretends to be, so that an account keeps its machine.
IDENTITY_FILE = "greenroom-identity.json"
# How Camoufox's package finds its installation.
_CAMOUFOX = ("HOME", "XDG_CACHE_HOME", "CAMOUFOX_EXECUTABLE_PATH")


def python_command(module: str, *args: str) -> tuple[str, ...]:
    """Return the command that runs one of our modules in this Python, isolated from the environment.

    `-I` ignores PYTHONPATH and the user's site-packages, so the command gets this process's own module path.
    """
    path = [place for place in sys.path if place]
    ours = str(Path(actors.__file__).parents[2].absolute())
    if ours not in path:  # we were imported from the working directory, or by an editable install's hook
        path.insert(0, ours)
    code = (
        f"import runpy, sys; sys.path[:] = {path!r}; "
        "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
    )
    return (sys.executable, "-I", "-c", code, module, *args)


def general_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that any process of ours may see."""
    return {name: inherited[name] for name in inherited if name in _GENERAL or name.startswith("LC_")}


def search_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that looks for Camoufox."""
    return general_environment(inherited) | {name: inherited[name] for name in _CAMOUFOX if name in inherited}


def host_environment(inherited: Mapping[str, str], *, marker: str, scratch: str) -> dict[str, str]:
    """Return the environment of a browser host, which may also run browsers with windows."""
    return general_environment(inherited) | _find_display(inherited) | places(scratch) | {MARKER: marker}


def browser_environment(
    of_host: Mapping[str, str], *, marker: str, scratch: str, headless: bool
) -> dict[str, str]:
    """Return the environment of a browser, made from its host's."""
    shown = {} if headless else display(of_host)
    own = {MARKER: marker, "MOZ_CRASHREPORTER_DISABLE": "1"}
    return general_environment(of_host) | shown | places(scratch) | own


def display(of_host: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which a browser with a window reaches the display, from its host's."""
    return {name: of_host[name] for name in _DISPLAY if name in of_host}


def _find_display(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the same with full paths, since the defaults are relative to the user's own directories."""
    found = {name: inherited[name] for name in _DISPLAY if inherited.get(name)}
    if "DISPLAY" in found and inherited.get("HOME"):
        found.setdefault("XAUTHORITY", f"{inherited['HOME']}/.Xauthority")
    if "WAYLAND_DISPLAY" in found:
        found["WAYLAND_DISPLAY"] = str(Path(inherited.get("XDG_RUNTIME_DIR", ""), found["WAYLAND_DISPLAY"]))
    return found


def places(scratch: str) -> dict[str, str]:
    """Return the variables that name the directories of a process that keeps its files in `scratch`."""
    scratch = str(Path(scratch).absolute())
    return {name: f"{scratch}/{place}" for name, place in _PLACES.items()} | {"TMPDIR": scratch}


def make_places(scratch: str) -> None:
    """Make the directories that `places` names. Blocks; raises `OSError`."""
    for place in _PLACES.values():
        Path(scratch, place).mkdir(mode=0o700)
