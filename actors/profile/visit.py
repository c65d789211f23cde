"""Keeps an automated browser's traces out of the user's own profile during a login.

Playwright replaces `user.js` with its own preferences. Firefox copies them into `prefs.js`, where they stay,
and empties the list of open tabs. So these files are set aside for the length of a visit. If the visit is
interrupted, for example by SIGKILL, the next visit or `recover` finds them in the profile and puts them back.

One directory has two names, which show how far a visit got. Named `_MOVING`, files are on their way out or
back: those in it belong in the profile, and nothing else is known. Named `_AWAY`, it holds every file that
there was: any file of those names in the profile is the browser's. A single rename changes the name.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from greenroom.actors.errors import ProfileLocked, ProfileUnusable
from greenroom.actors.profile.lock import is_locked

_PREFERENCES = "prefs.js"
_OWN = ("user.js", _PREFERENCES, "sessionstore.jsonlz4")
# Playwright's copy of the preferences, and the addresses of the browser, which a killed one leaves behind.
_LEFT_BEHIND = ("prefs.js.playwright", "WebDriverBiDiServer.json", "MarionetteActivePort")
_AWAY, _MOVING = ".greenroom-login", ".greenroom-login-moving"

KEPT_NAMES = frozenset({_AWAY, _MOVING})


@contextlib.contextmanager
def visiting(profile: Path) -> Iterator[None]:
    """Let an automated browser use `profile` in the block, which must not end before the browser does.

    Afterwards the user's settings are as they were: the same files, or none. Blocks for milliseconds. Raises
    `ProfileLocked` when a browser or another visit has the profile, and `ProfileUnusable` when a file can't
    be moved; what was set aside then stays in the profile for `recover`.
    """
    with _sole_visitor(profile) as is_sole:
        if not is_sole or is_locked(profile):
            raise ProfileLocked
        with _translating_errors(profile):
            _put_back(profile)
        try:
            with _translating_errors(profile):
                _set_aside(profile)
            yield
        finally:
            with _translating_errors(profile):
                _put_back(profile)


def recover(profile: Path) -> bool:
    """Put back what an interrupted visit has set aside; return whether there was one.

    A visit in progress is left alone. If there was none, nothing is written. Raises `ProfileUnusable` when a
    file can't be moved.
    """
    if not any(os.path.lexists(profile / name) for name in KEPT_NAMES):
        return False
    with _translating_errors(profile), _sole_visitor(profile) as is_sole:
        return is_sole and not is_locked(profile) and _put_back(profile)


def _set_aside(profile: Path) -> None:
    moving, away = profile / _MOVING, profile / _AWAY
    moving.mkdir(0o700)
    for name in _OWN:
        with contextlib.suppress(FileNotFoundError):
            (profile / name).rename(moving / name)
    moving.rename(away)
    # The browser needs the user's proxy and the like. It gets a copy, because it overwrites the file.
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(away / _PREFERENCES, profile / _PREFERENCES)


def _put_back(profile: Path) -> bool:
    # Every step can be repeated after a kill: the browser's files are removed under one name, the user's are
    # moved back under the other.
    moving, away = profile / _MOVING, profile / _AWAY
    if away.is_dir():
        for name in (*_OWN, *_LEFT_BEHIND):
            (profile / name).unlink(missing_ok=True)
        away.rename(moving)
    if not moving.is_dir():
        return False
    for name in _OWN:
        with contextlib.suppress(FileNotFoundError):
            (moving / name).replace(profile / name)
    moving.rmdir()
    return True


@contextlib.contextmanager
def _sole_visitor(profile: Path) -> Iterator[bool]:
    """Yield whether no other visit has the profile, and keep others out during the block.

    Firefox's own lock won't do: it is taken only once the browser starts, and released before files are moved
    back.
    """
    with _translating_errors(profile):
        fd = os.open(profile, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        is_sole = True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_sole = False
        except OSError:  # a filesystem without such locks
            pass
        yield is_sole
    finally:
        os.close(fd)


@contextlib.contextmanager
def _translating_errors(profile: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ProfileUnusable(
            "The master profile can't be opened", detail=f"{str(profile)!r}: {exc}"
        ) from exc
