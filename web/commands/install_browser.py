"""Installs a browser for sessions: Camoufox if it can be fetched, otherwise Firefox. `make setup` runs it.

Camoufox is fetched if its releases can be listed. The download itself, about 700 MB, has no time limit. If
that fails, an installed Firefox will do; as root, Debian's firefox-esr is installed, which also brings the
libraries that Camoufox needs. The sandbox, bubblewrap, is installed too, or the user is asked to install it.
Exit codes of commands are not trusted: what counts is whether the browser is there afterwards.
"""

import enum
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import attrs

from greenroom.actors.browser.engines import FIREFOX_NAMES

LOOK_LIMIT_S: Final = 15.0
"""The time to list Camoufox's releases: seconds on an open network, while a closed one may never answer."""

MODULE: Final = "greenroom.web.commands.install_browser"

LOOK: Final = "look-for-camoufox"
"""The argument with which this module, run as a program, only looks for Camoufox and says what it saw."""


@attrs.frozen(kw_only=True)
class Finished:
    """A finished command: its exit code, negative if it was killed, and its output."""

    code: int
    output: str


class Machine(Protocol):
    """The machine to install on. This module looks at it and changes it only through these methods."""

    @property
    def is_root(self) -> bool:
        """Whether packages can be installed without asking."""

    def find(self, name: str) -> str | None:
        """Return the path of the program, or None if it is not installed."""

    def run(self, argv: Sequence[str], *, limit_s: float | None = None, show: bool = False) -> Finished:
        """Run a program until it ends, or for `limit_s` seconds, without input.

        With `show` it prints to the terminal directly, and `output` is empty.
        """


class ThisMachine:
    """The machine that we are on."""

    @property
    def is_root(self) -> bool:
        """Whether packages can be installed without asking."""
        return os.geteuid() == 0

    def find(self, name: str) -> str | None:
        """Return the path of the program, or None if it is not installed."""
        return shutil.which(name)

    def run(self, argv: Sequence[str], *, limit_s: float | None = None, show: bool = False) -> Finished:
        """Run a program until it ends, or for `limit_s` seconds, without input."""
        out = None if show else subprocess.PIPE
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=None if show else subprocess.STDOUT,
                timeout=limit_s,
                check=False,
                text=True,
                errors="replace",
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
        except subprocess.TimeoutExpired:
            return Finished(code=-9, output=f"no answer within {limit_s:g} seconds")
        except OSError as exc:
            return Finished(code=127, output=str(exc))
        return Finished(code=done.returncode, output=done.stdout or "")


class Camoufox(enum.Enum):
    """The state of Camoufox on this machine."""

    INSTALLED = "installed"
    AVAILABLE = "available"  # not installed, but its releases can be listed
    UNREACHABLE = "unreachable"
    FOREIGN = "foreign"  # its directory holds something of an older version


@attrs.frozen
class _Sight:
    state: Camoufox
    detail: str = ""


def install_browser(machine: Machine | None = None, say: Callable[[str], None] | None = None) -> bool:
    """Install a browser that can start and, if possible, the sandbox; return whether there is a browser.

    `say` gets lines about what is done and what is missing. If there is no browser, they say what to do.
    """
    machine, say = machine or ThisMachine(), say or _print_line
    camoufox = _get_camoufox(machine, say)
    firefox = None if camoufox else _find_firefox(machine)
    lacking = _lacking_libraries(machine, camoufox)

    wanted = [FIREFOX_NAMES[0]] if lacking or not (camoufox or firefox) else []
    if machine.find("bwrap") is None:
        wanted.append("bubblewrap")
    if wanted and machine.is_root and machine.find("apt-get"):
        _apt_install(wanted, machine, say)
        firefox = None if camoufox else _find_firefox(machine)
        lacking = _lacking_libraries(machine, camoufox)

    by_hand = _by_hand(wanted, machine)
    if lacking:
        say(f"Camoufox can't start, libraries are missing: {', '.join(lacking)}. Install them, {by_hand}")
        return False
    if not (camoufox or firefox):
        say(f"No browser. Install Firefox, {by_hand}; then run this again")
        return False
    if machine.find("bwrap") is None:
        say(f"Warning: bubblewrap is missing, so browsers run without their sandbox. Install it, {by_hand}")
    say(f"Browser: Camoufox in {camoufox}" if camoufox else f"Browser: {firefox}, standing in for Camoufox")
    return True


def _get_camoufox(machine: Machine, say: Callable[[str], None]) -> str | None:
    """Return Camoufox's directory, after fetching it if necessary; None if it can't be fetched."""
    say("Looking for Camoufox")
    sight = _look(machine)
    if sight.state is Camoufox.AVAILABLE:
        say("Downloading Camoufox: about 700 MB, a few minutes")
        fetch = machine.run([sys.executable, "-m", "camoufox", "fetch"], show=True)
        sight = _look(machine)
        if sight.state is not Camoufox.INSTALLED:
            say(
                f"Camoufox could not be fetched (exit code {fetch.code}): see above why. "
                "It comes from github.com; run this again to try again"
            )
    elif sight.state is Camoufox.FOREIGN:
        say(
            f"{sight.detail} holds an older version's files, which fetching Camoufox would delete. "
            "If you don't need them, fetch it yourself: python -m camoufox fetch"
        )
    elif sight.state is Camoufox.UNREACHABLE:
        say(f"Camoufox can't be fetched from here: {sight.detail}")
    return sight.detail if sight.state is Camoufox.INSTALLED else None


def _look(machine: Machine) -> _Sight:
    """Look for Camoufox, in a separate process, since that may have to be killed."""
    looked = machine.run([sys.executable, "-m", MODULE, LOOK], limit_s=LOOK_LIMIT_S)
    answers = re.findall(
        rf"^({'|'.join(c.value for c in Camoufox)}):(.*)$", looked.output, flags=re.MULTILINE
    )
    if looked.code != 0 or not answers:
        return _Sight(Camoufox.UNREACHABLE, _last_line(looked.output))
    state, detail = answers[-1]
    return _Sight(Camoufox(state), detail.strip())


def _look_here() -> _Sight:
    # Imported late: only the process that looks should pay for it.
    from camoufox import exceptions, multiversion, pkgman  # noqa: PLC0415

    directory: Path = pkgman.INSTALL_DIR
    held = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    if multiversion.COMPAT_FLAG.exists():
        try:
            found: Path = pkgman.camoufox_path(download_if_missing=False)
            pkgman.launch_path(found)
        except (OSError, exceptions.CamoufoxNotInstalled, exceptions.UnsupportedVersion):
            pass
        else:
            return _Sight(Camoufox.INSTALLED, str(found))
    elif held - {multiversion.REPO_CACHE_FILE.name}:  # a fetch that failed leaves that file
        # camoufox_path and `camoufox fetch` delete the directory's content if the flag is missing.
        return _Sight(Camoufox.FOREIGN, str(directory))
    try:
        releases = len(pkgman.list_available_versions())
    except Exception as exc:  # requests, JSON, a platform without releases: all mean no
        return _Sight(Camoufox.UNREACHABLE, f"its releases can't be listed ({type(exc).__name__})")
    if not releases:
        return _Sight(Camoufox.UNREACHABLE, "it has no release for this machine")
    return _Sight(Camoufox.AVAILABLE)


def _find_firefox(machine: Machine) -> str | None:
    """Return path and version of a Firefox that answers. On some systems it is only a placeholder."""
    for name in FIREFOX_NAMES:
        path = machine.find(name)
        if path is None:
            continue
        answer = machine.run([path, "--version"], limit_s=LOOK_LIMIT_S)
        if version := re.search(r"Firefox \S+", answer.output):
            return f"{path} ({version[0]})"
    return None


def _lacking_libraries(machine: Machine, camoufox: str | None) -> list[str]:
    """Return the system libraries that Camoufox needs but the loader does not find."""
    if camoufox is None or machine.find("ldd") is None:
        return []
    linked = machine.run(["ldd", str(Path(camoufox) / "libxul.so")], limit_s=LOOK_LIMIT_S)
    return re.findall(r"^\s*(\S+) => not found", linked.output, flags=re.MULTILINE)


def _apt_install(packages: Sequence[str], machine: Machine, say: Callable[[str], None]) -> None:
    """Install Debian packages. A failure is reported; the caller checks whether they are there."""
    say(f"Installing {' and '.join(packages)} with apt-get: about a minute")
    update = machine.run(["apt-get", "update"])
    install = machine.run(["apt-get", "install", "-y", "--no-install-recommends", *packages])
    if install.code != 0:
        # A failed update may not matter; if it does, the installation fails too.
        if update.code != 0:
            say(f"apt-get update failed: {_last_line(update.output)}")
        say(f"apt-get install failed: {_last_line(install.output)}")
        say("Check the network, the proxy and the package sources that apt-get uses")


def _by_hand(packages: Sequence[str], machine: Machine) -> str:
    """Return what to do to install Debian packages, or another system's equivalents, by hand."""
    if machine.find("apt-get") is None:
        return f"with this system's package manager: what Debian calls {' and '.join(packages)}"
    return f"as root: apt-get install {' '.join(packages)}"


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


def _print_line(line: str) -> None:
    print(line, flush=True)


def main(args: Sequence[str]) -> int:
    """Run as a program: exit code 0 if there is a browser. `LOOK` is for this module's own use."""
    if list(args) == [LOOK]:
        sight = _look_here()
        _print_line(f"{sight.state.value}:{sight.detail}")
        return 0
    return 0 if install_browser() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
