"""Which browser a host launches: Camoufox, or an installed Firefox if Camoufox is missing."""

import enum
import json
import os
import shutil
import subprocess
from pathlib import Path

import attrs
import platformdirs

from greenroom.actors.browser.cells.environment import python_command, search_environment
from greenroom.actors.errors import EngineUnavailable

FIREFOX_NAMES = ("firefox-esr", "firefox")
"""Firefox as a program, a package and a folder in /etc. The one that changes less often comes first."""

_PROBE_COMMAND = python_command("greenroom.actors.browser.host.camoufox")
_PROBE_S = 20.0


class EngineName(enum.Enum):
    """The browsers that a host can launch."""

    CAMOUFOX = "camoufox"
    FIREFOX = "firefox"


class EngineChoice(enum.Enum):
    """Which browser engine to launch. AUTO takes Camoufox, or Firefox if Camoufox is not installed."""

    AUTO = "auto"
    CAMOUFOX = EngineName.CAMOUFOX.value
    FIREFOX = EngineName.FIREFOX.value


@attrs.frozen(kw_only=True)
class Engine:
    """An installed browser. With `places`, Camoufox's database of where addresses are, if it is installed."""

    name: EngineName
    executable: Path
    version: str
    places: Path | None = None


def find_engine(choice: EngineChoice) -> Engine:
    """Return the engine for a setting: `camoufox`, `firefox`, or `auto` for the first one installed.

    Blocks for up to some seconds if Camoufox is installed. Raises `EngineUnavailable`, which says what to do.
    """
    engine = None
    if choice is not EngineChoice.FIREFOX:
        engine = find_camoufox()
    if engine is None and choice is not EngineChoice.CAMOUFOX:
        engine = find_firefox()
    if engine is None:
        wanted = "Camoufox or Firefox" if choice is EngineChoice.AUTO else choice.value.capitalize()
        raise EngineUnavailable(f"{wanted} is not installed: run `greenroom install-browser`")
    return engine


def find_camoufox() -> Engine | None:
    """Return the installed Camoufox, or None.

    Its package is asked in a separate process, which keeps 40 MB out of the daemon, and only if there is
    something to find: its data directory, or `CAMOUFOX_EXECUTABLE_PATH`, which the package also honours.
    """
    if not (os.environ.get("CAMOUFOX_EXECUTABLE_PATH") or _has_camoufox_data()):
        return None
    try:
        environ = search_environment(os.environ)
        probe = subprocess.run(_PROBE_COMMAND, check=True, capture_output=True, timeout=_PROBE_S, env=environ)
        found = json.loads(probe.stdout)
        return Engine(
            name=EngineName.CAMOUFOX,
            executable=Path(found["executable"]),
            version=found["version"],
            places=Path(found["places"]) if found["places"] else None,
        )
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None


def _has_camoufox_data() -> bool:
    """Return whether Camoufox's package has anything in its directory; a user without a home has none."""
    try:
        return any(platformdirs.user_cache_path("camoufox").iterdir())
    except (OSError, RuntimeError):
        return False


def find_firefox() -> Engine | None:
    """Return the first Firefox on PATH, or None."""
    for name in FIREFOX_NAMES:
        found = shutil.which(name)
        if found:
            executable = Path(found)
            return Engine(
                name=EngineName.FIREFOX, executable=executable, version=read_version(executable) or "unknown"
            )
    return None


def read_version(executable: Path) -> str | None:
    """Return the version in the `application.ini` next to a Firefox-like binary, or None without one."""
    # Both are needed: a symlink on PATH has no file next to it, one in a bundle has.
    for binary in (executable, executable.resolve()):
        try:
            text = (binary.parent / "application.ini").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("Version="):
                return line.removeprefix("Version=").strip()
    return None
