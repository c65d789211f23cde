"""Which Firefox used a profile last, according to the profile's `compatibility.ini`.

A Firefox that finds a newer version there does not start: it shows a dialog, or exits at once without a
display. Without the file it starts, and rebuilds its caches.
"""

import contextlib
import re
from pathlib import Path

from greenroom.actors.errors import ProfileUnusable

COMPATIBILITY_FILE = "compatibility.ini"

_MAX_BYTES = 1 << 16
_LAST_VERSION = re.compile(rb"^LastVersion=([^_\s]+)", re.MULTILINE)


def last_version(profile: Path) -> str | None:
    """Return the version of the browser that used `profile` last, or None if that is unknown."""
    with contextlib.suppress(OSError), (profile / COMPATIBILITY_FILE).open("rb") as file:
        if found := _LAST_VERSION.search(file.read(_MAX_BYTES)):
            return found[1].decode(errors="replace")
    return None


def newer_than(profile: Path, engine_version: str) -> str | None:
    """Return the version of the browser that used `profile` last if it is newer than the engine's."""
    last = last_version(profile)
    if last is None or not (mine := _numbers(engine_version)):
        return None
    return last if _numbers(last) > mine else None


def refuse_newer(profile: Path, engine_version: str) -> None:
    """Raise `ProfileUnusable` for a profile that our browser is to write, and a newer one has used last.

    It would refuse it, with a dialog. A clone hides that from it, but what it writes could harm the profile.
    """
    if (newer := newer_than(profile, engine_version)) is not None:
        raise ProfileUnusable(
            f"The master profile was last used by Firefox {newer}, which is newer than {engine_version}: "
            "log in with that browser, or name another profile"
        )


def _numbers(version: str) -> tuple[int, ...]:
    """Return 135.0.1-beta.24 as (135, 0, 1, 24), and 140.0esr as (140,).

    This makes a beta newer than its release. A clone of such a profile only loses its caches.
    """
    numbers = [int(number) for number in re.findall(r"\d{1,9}", version)]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
