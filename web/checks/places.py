"""Checks of the two directories: the master profile, and the one where clones are made."""

import errno
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from greenroom.actors.errors import NotLoggedIn, ProfileLocked, ProfileUnusable
from greenroom.actors.lifecycle import ProfileHolder
from greenroom.actors.profile import ProfileCloner
from greenroom.actors.profile.cookies import read_login
from greenroom.actors.profile.lock import LOCK_FILE
from greenroom.web.checks.finding import Finding, Level
from greenroom.web.checks.room import check_disk
from greenroom.web.commands.login import describe_login
from greenroom.web.settings import DaemonSettings

_MASTER, _CLONES = "master profile", "clones"
_LOGIN = "greenroom login"
_ANOTHER_PROFILE = "name another: --user-data-dir DIR"
_ANOTHER_PLACE = "set clones_dir to a directory on a disk that this user may write to"


def check_master(settings: DaemonSettings) -> Finding:
    """Check the master profile as the daemon does before it clones it, and the login saved in it."""
    master = settings.user_data_master_dir
    try:
        ProfileCloner(master=master, clones_dir=settings.clones_dir).look()
    except NotLoggedIn:
        state = "is empty" if os.path.lexists(master) else "does not exist"
        return Finding(_MASTER, Level.FAIL, f"{master} {state}", _LOGIN, for_sessions=True)
    except ProfileLocked as exc:
        return Finding(_MASTER, Level.FAIL, f"{master}: {exc}", _wait_for(exc.holder), for_sessions=True)
    except ProfileUnusable as exc:
        return Finding(_MASTER, Level.FAIL, f"{master}: {exc}", _mend_profile(master, exc))
    return _look_at_login(settings)


def _wait_for(holder: ProfileHolder | None) -> str:
    if holder is None:
        return "close the browser that has it open"
    until = f" (until {holder.until:%H:%M:%S} UTC at most)" if holder.until else ""
    return f"close {holder.program}, process {holder.pid}{until}"


def _mend_profile(master: Path, problem: ProfileUnusable) -> str:
    """Say how to fix the profile, by the system error behind `problem`."""
    cause = problem.__cause__
    if not isinstance(cause, OSError):
        return _ANOTHER_PROFILE
    where = str(cause.filename or master)
    if cause.errno in {errno.EACCES, errno.EPERM}:
        return f"let this user (uid {os.geteuid()}) read {where}"
    if where.endswith(LOCK_FILE):
        return f"remove {where} while no browser runs"
    return _ANOTHER_PROFILE


def _look_at_login(settings: DaemonSettings) -> Finding:
    master, host = settings.user_data_master_dir, urlsplit(settings.tiktok_url).hostname or ""
    try:
        saved = read_login(master, host)
    except ProfileUnusable as exc:
        found = f"{master}: {exc} ({exc.detail})"
        if isinstance(exc.__cause__, OSError):  # if it can't be read, it can't be cloned either
            return Finding(_MASTER, Level.FAIL, found, _mend_profile(master, exc))
        return Finding(_MASTER, Level.WARN, found, _LOGIN)
    if saved.expires_at is None:
        return Finding(_MASTER, Level.FAIL, f"{master} has no login at {host}", _LOGIN, for_sessions=True)
    if not saved.holds_at(datetime.now(UTC)):
        found = f"{master}: the login at {host} has expired, {saved.expires_at:%Y-%m-%d %H:%M} UTC"
        return Finding(_MASTER, Level.FAIL, found, _LOGIN, for_sessions=True)
    return Finding(_MASTER, Level.OK, f"{master}, with a login at {host}: {describe_login(saved)}")


def check_clones(settings: DaemonSettings) -> Iterator[Finding]:
    """Check that clones can be made in `clones_dir` and that one fits. Leaves nothing behind."""
    place = _check_place(settings)
    yield place
    if place.level is not Level.FAIL:
        yield from check_disk(settings)


def _check_place(settings: DaemonSettings) -> Finding:
    clones = settings.clones_dir
    folder = _first_existing(clones)
    if not folder.is_dir():
        found = f"{clones} can't be made: {folder} is not a directory"
        return Finding(_CLONES, Level.FAIL, found, "move that away, or set clones_dir")
    try:
        with tempfile.TemporaryDirectory(prefix=".greenroom-doctor-", dir=folder):
            pass
    except OSError as exc:
        found = f"{clones}: nothing can be made in {folder}: {exc.strerror}"
        fix = _ANOTHER_PLACE
        if exc.errno == errno.EACCES and folder.stat().st_uid == os.geteuid():
            fix = f"chmod u+rwx {folder}"
        return Finding(_CLONES, Level.FAIL, found, fix)
    found = f"{clones}, {_gigabytes(psutil.disk_usage(str(folder)).free)} free"
    if others := _others_with_access(clones):
        return Finding(_CLONES, Level.WARN, f"{found}; {others}", _ANOTHER_PLACE)
    return Finding(_CLONES, Level.OK, found)


def _others_with_access(clones: Path) -> str | None:
    """Say who, besides root, could replace a session's directory; None if nobody can."""
    try:
        status = clones.stat()
    except OSError:  # it does not exist yet; Greenroom will make it private to this user
        return None
    if status.st_uid not in {os.geteuid(), 0}:
        return f"it belongs to uid {status.st_uid}, who can replace what is in it"
    if status.st_mode & 0o022 and not status.st_mode & 0o1000:
        return "others can write to it and replace its contents"
    return None


def _first_existing(folder: Path) -> Path:
    real = Path(os.path.realpath(folder))
    return next(path for path in (real, *real.parents) if os.path.lexists(path))


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GB"
