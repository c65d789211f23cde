"""What a browser under automation must not leave in somebody's own profile: the login's visit to it.

Playwright replaces `user.js` by its own preferences, Firefox takes them over into `prefs.js`, where they
stay, and empties the list of open tabs. So these files are set aside for the length of a visit. If it is cut
off, by SIGKILL for one, whoever comes next finds them in the profile and puts them back.

Two names of one directory tell how far it got. In `_MOVING` files are on their way out or back: those it has
belong in the profile, nothing else is known. In `_AWAY` is all that there was: what is in the profile under
those names is the browser's. Changing from one name to the other is a single rename.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from actors.errors import ProfileLocked, ProfileUnusable
from actors.profile.lock import is_locked

_PREFERENCES = "prefs.js"
_OWN = ("user.js", _PREFERENCES, "sessionstore.jsonlz4")
# Playwright's copy of the preferences, and how to reach the browser, which one that is killed leaves.
_LEFT_BEHIND = ("prefs.js.playwright", "WebDriverBiDiServer.json", "MarionetteActivePort")
_AWAY, _MOVING = ".greenroom-login", ".greenroom-login-moving"

KEPT_NAMES = frozenset({_AWAY, _MOVING})


@contextlib.contextmanager
def visiting(profile: Path) -> Iterator[None]:
    """Let a browser under automation use `profile` in the block, which must see the end of it.

    Afterwards the user's settings are as they were: the same files, or none. Blocks for milliseconds. Raises
    `ProfileLocked` when a browser or another visit has the profile, `ProfileUnusable` when a file can't be
    moved: what was set aside stays in the profile then, for `recover`.
    """
    with _sole_visitor(profile) as is_sole:
        if not is_sole or is_locked(profile):
            raise ProfileLocked
        with _telling(profile):
            _put_back(profile)
        try:
            with _telling(profile):
                _set_aside(profile)
            yield
        finally:
            with _telling(profile):
                _put_back(profile)


def recover(profile: Path) -> bool:
    """Put back what a visit that was cut off has set aside; tell whether there was any.

    A visit that is under way is left alone. Writes nothing where there was none. Raises `ProfileUnusable`
    when a file can't be moved.
    """
    if not any(os.path.lexists(profile / name) for name in KEPT_NAMES):
        return False
    with _telling(profile), _sole_visitor(profile) as is_sole:
        return is_sole and not is_locked(profile) and _put_back(profile)


def _set_aside(profile: Path) -> None:
    moving, away = profile / _MOVING, profile / _AWAY
    moving.mkdir(0o700)
    for name in _OWN:
        with contextlib.suppress(FileNotFoundError):
            (profile / name).rename(moving / name)
    moving.rename(away)
    # The browser should know the user's proxy and the like; it will write over the copy.
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(away / _PREFERENCES, profile / _PREFERENCES)


def _put_back(profile: Path) -> bool:
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
    """Tell whether no other visit has the profile, and keep others out meanwhile.

    Firefox's own lock comes too late for that, with its start, and goes too early.
    """
    with _telling(profile):
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
def _telling(profile: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ProfileUnusable(
            "The master profile can't be opened", detail=f"{str(profile)!r}: {exc}"
        ) from exc
