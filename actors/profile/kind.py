"""Checks whether a directory is a Firefox profile, and if not, says what it is."""

import configparser
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

# Names that Firefox creates in any profile, or a user puts into one.
_FIREFOX = frozenset(
    {
        "compatibility.ini",
        "cookies.sqlite",
        "key4.db",
        "places.sqlite",
        "prefs.js",
        "sessionstore.jsonlz4",
        "storage",
        "storage.sqlite",
        "times.json",
        "user.js",
    }
)
_CHROMIUM = "is a Chromium browser's profile; Greenroom needs Firefox's: run `greenroom login` to create one"
_MAX_NAMED = 5
_MAX_BYTES = 1 << 20


def other_kind(directory: Path, names: Iterable[str]) -> str | None:
    """Return what a directory that holds `names` is instead of a Firefox profile, or None if it may be one.

    The text is a clause without paths, which continues "The master profile". Raises `OSError`.
    """
    names = set(names)
    if names & _FIREFOX:
        return None
    if "Local State" in names or {"Preferences", "History"} <= names:
        return _CHROMIUM
    profiles = _listed(directory) if "profiles.ini" in names else []
    profiles = profiles or sorted(name for name in names if os.path.lexists(directory / name / "prefs.js"))
    if profiles or "profiles.ini" in names:
        named = ", ".join(profiles[:_MAX_NAMED]) + (", ..." if len(profiles) > _MAX_NAMED else "")
        return f"is a directory of profiles: name one of them ({named or 'none is in it'})"
    return "holds nothing that a Firefox profile has: name another directory, or run `greenroom login`"


def _listed(directory: Path) -> list[str]:
    """Return the directory names of the profiles in a `profiles.ini`."""
    parser = configparser.RawConfigParser(strict=False)  # raw, since a path may contain "%"
    with (
        contextlib.suppress(configparser.Error, UnicodeDecodeError),
        (directory / "profiles.ini").open() as file,
    ):
        parser.read_string(file.read(_MAX_BYTES))
    paths = [parser[section].get("path") for section in parser.sections() if section.startswith("Profile")]
    return [Path(path).name for path in paths if path]
