"""Leases on a profile: many may read it at once, or one may write it.

A lease is a flock(2) on the profile's directory itself, so it ends with its process, and no file is needed.
Who writes is noted beside the profile where that is possible, and only read while somebody does. A browser
that has the profile open knows nothing of this; `lock` tells of it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from greenroom.actors.errors import ProfileLocked
from greenroom.actors.lifecycle import ProfileHolder


@contextlib.contextmanager
def reading(profile: Path) -> Iterator[None]:
    """Keep those out who would write `profile`. Takes microseconds.

    Raises `ProfileLocked` with the writer if there is one, and `OSError` if the directory can't be opened.
    """
    descriptor = _take(profile, fcntl.LOCK_SH)
    try:
        yield
    finally:
        _release(descriptor)


@contextlib.contextmanager
def writing(
    profile: Path, holder: ProfileHolder, *, held: contextlib.ExitStack | None = None, is_new: bool = False
) -> Iterator[contextlib.ExitStack]:
    """Keep everybody else out of `profile`, and let them know who has it.

    A lease on it that is `held` already, see `extend`, is given back at the end of the block, too. The value
    keeps the lease on a directory that takes the profile's place. If the holder has made the profile, which
    `is_new`, that is noted for `was_made_by_the_last`. Raises `ProfileLocked` if somebody reads or
    writes the profile, and `OSError`.
    """
    with contextlib.ExitStack() as leases:
        if held is None:
            extend(leases, profile)
        else:
            leases.enter_context(held)
        note(profile, holder, is_new=is_new)
        try:
            yield leases
        finally:
            forget_the_last(profile)


def note(profile: Path, holder: ProfileHolder, *, is_new: bool = False) -> None:
    """Let those who are refused know who writes `profile`; only for who has the lease. Never fails."""
    path = _note_of(profile)
    unfinished = path.with_suffix(".part")
    with contextlib.suppress(OSError):  # it only makes refusals clearer
        unfinished.write_bytes(msgspec.json.encode(msgspec.to_builtins(holder) | {"is_new": is_new}))
        unfinished.replace(path)


def was_made_by_the_last(profile: Path) -> bool:
    """Return whether the last who wrote a profile had made it, and has died before the end of that."""
    try:
        return msgspec.json.decode(_note_of(profile).read_bytes(), type=_Note).is_new
    except (OSError, msgspec.MsgspecError):
        return False


def forget_the_last(profile: Path) -> None:
    """Remove the note of who wrote a profile last; only for who has the lease, or has just made it.

    Never fails.
    """
    with contextlib.suppress(OSError):
        _note_of(profile).unlink()


class _Note(msgspec.Struct):
    """What a note has besides its holder."""

    is_new: bool = False


def extend(leases: contextlib.ExitStack, directory: Path) -> None:
    """Take the lease on another directory, too, before it becomes the profile. Raises as `writing` does."""
    leases.callback(_release, _take(directory, fcntl.LOCK_EX))


def _take(profile: Path, kind: int) -> int:
    while True:
        descriptor = os.open(profile, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(_NoLocks):
                _lock(descriptor, kind)
            # Somebody may have put another directory in its place meanwhile.
            if _identity(os.fstat(descriptor)) == _identity(profile.stat()):
                return descriptor
        except BlockingIOError:
            is_written = kind == fcntl.LOCK_SH or not _is_only_read(descriptor)
            os.close(descriptor)
            if is_written:
                raise ProfileLocked(holder=_writer_of(profile)) from None
            raise ProfileLocked(
                "Sessions are being made from the user data directory: try again in a moment"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _release(descriptor: int) -> None:
    # To close it is not enough: a child that was just forked has a copy until it runs its own program.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


class _NoLocks(Exception):
    """The filesystem has no such locks."""


def _lock(descriptor: int, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as exc:
        raise _NoLocks from exc


def _is_only_read(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    return False


def _writer_of(profile: Path) -> ProfileHolder | None:
    """Return who has noted that they write the profile."""
    try:
        return msgspec.json.decode(_note_of(profile).read_bytes(), type=ProfileHolder)
    except (OSError, msgspec.MsgspecError):
        return None


def _note_of(profile: Path) -> Path:
    real = Path(os.path.realpath(profile))
    return real.with_name(f".{real.name}.holder.json")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
