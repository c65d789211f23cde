"""Generations of a profile: each a whole directory; one is current, the last ones are kept beside it.

The current one is the profile itself, at its own path. A new one is made beside it and takes its place in
one step, an exchange of the two directories. So whoever looks, also after a loss of power, finds the old one
or the new one, whole. A file in each says its number; where a directory's name says another, a change was
interrupted, and the next writer finishes it.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs
import msgspec
import structlog

from greenroom.actors.errors import GreenroomError, ProfileLocked, ProfileNotReplaced
from greenroom.actors.lifecycle import ProfileHolder
from greenroom.actors.profile import lease
from greenroom.actors.profile.copy import GENERATION_FILE, LOCK_NAMES
from greenroom.actors.profile.databases import find_damage
from greenroom.actors.profile.exchange import (
    exchange,
    exchange_problem,
    sync_directory,
    sync_tree,
)
from greenroom.actors.profile.lock import keep_browsers_out, last_opened_ns, refuse_browser
from greenroom.actors.profile.making import open_made
from greenroom.actors.profile.place import give_to_owner_of, make_private
from greenroom.actors.profile.removal import remove_tree
from greenroom.actors.profile.version import profile_version

KEPT: Final = 5
"""How many earlier generations are kept."""

_NEW = ".new"
_LEAVING = ".deleted"

_log = structlog.get_logger("greenroom.profile")


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a profile: its number, when it became current, and by what. Null if that is not known."""

    number: int
    committed_at: datetime | None = None
    by: str | None = None


@attrs.define(eq=False, kw_only=True)
class Writing:
    """The right to write a profile, and the directory `new` in which its next generation is made."""

    profile: Path
    new: Path
    generation: Generation
    _leases: contextlib.ExitStack
    _before: tuple[object, ...]
    _holder: ProfileHolder
    _noting: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    def put_off(self, until: datetime) -> None:
        """Let those who are refused the profile know that it is until then, unless it is over. Blocks."""
        with self._noting:
            if not self._is_over:
                lease.note(self.profile, attrs.evolve(self._holder, until=until))

    def finish(self) -> None:
        """Have nothing more noted."""
        with self._noting:
            self._is_over = True

    def commit(self) -> None:
        """Make what is in `new` the profile's current generation. Blocks.

        Its browser must have ended. Raises `ProfileNotReplaced`, with the profile as it was, if one of its
        databases is damaged, the disk is full, or another program has used the profile meanwhile; and
        `ProfileLocked` if one uses it.
        """
        with _translating():
            if damage := find_damage(self.new):
                raise ProfileNotReplaced("A database of the new profile is damaged", detail=damage)
            _write_generation(self.new, self.generation)
            sync_tree(self.new)
            if _state(self.profile) != self._before:
                raise ProfileNotReplaced("Another program has used the profile meanwhile")
            if not is_empty(self.profile):
                _number(self.profile, self.generation.number - 1)
            _switch(self.profile, self.new, self._leases)
        _tidy(self.profile)


@contextlib.contextmanager
def open_writing(
    profile: Path, by: str, *, until: datetime | None = None, may_be_new: bool = False
) -> Iterator[Writing]:
    """Own the right to write `profile`, an existing directory, until the end of the block. Blocks.

    One that `may_be_new` is made if it is missing, and removed again if nothing was committed, with the
    directories above it that were made for it and are empty. What is not committed by then is removed. Raises
    `ProfileLocked` if somebody else reads or writes the profile or a browser has it open, and
    `ProfileNotReplaced` if it could not be replaced.
    """
    profile = Path(os.path.realpath(profile))
    holder = _holder(by, until)
    with _lease(profile, holder, may_be_new=may_be_new) as leases:
        with _translating():
            number = max((one.number for one in history(profile)), default=0) + 1
            if not is_empty(profile) and not _is_numbered(profile):
                number += 1  # the current one gets the number before
            before = _state(profile)
        writing = Writing(
            profile=profile,
            new=history_folder(profile) / f"{number}{_NEW}",
            generation=Generation(number=number, committed_at=datetime.now(UTC), by=by),
            leases=leases,
            before=before,
            holder=holder,
        )
        first: os.stat_result | None = None
        try:
            with _translating():
                make_private(writing.new)
                first = writing.new.stat()
                # Its browser may be without root's right to enter what is others'.
                give_to_owner_of(writing.new, history_folder(profile))
            yield writing
        finally:
            writing.finish()
            if first is None or _is_same(writing.new, first):  # not once it is what the profile was
                remove_tree(writing.new)
            with _translating():
                give_to_owner_of(profile, history_folder(profile))


def history_folder(profile: Path) -> Path:
    """Return where a profile's earlier generations are: beside it, or beside what it is a link to."""
    real = Path(os.path.realpath(profile))
    return real.with_name(f"{real.name}.generations")


def directory_of(profile: Path, number: int) -> Path:
    """Return where an earlier generation is."""
    return history_folder(profile) / str(number)


def current(profile: Path) -> Generation | None:
    """Return the current generation; None if nothing was ever committed, or another profile was put there."""
    return _read(profile)


def history(profile: Path) -> list[Generation]:
    """Return the generations that there are, the current one among them, the latest first."""
    found = {one.number: one for one in _earlier(profile)}
    if (shown := current(profile)) is not None:
        found[shown.number] = shown
    return [found[number] for number in sorted(found, reverse=True)]


def roll_back(profile: Path, number: int | None, by: str) -> Generation:
    """Make an earlier generation current again: the one before the current, or that with a `number`. Blocks.

    The one that was current is kept under its own number. Raises `ProfileNotReplaced` if there is no such
    generation, and as `open_writing` does.
    """
    profile = Path(os.path.realpath(profile))
    with _lease(profile, _holder(by)) as leases:
        with _translating():
            numbers = sorted(one.number for one in _earlier(profile))
            shown = current(profile)
            before = [known for known in numbers if shown is None or known < shown.number]
            wanted = number if number is not None else max(before, default=None)
            if wanted is None or wanted not in numbers:
                there_are = ", ".join(map(str, numbers)) or "none"
                raise ProfileNotReplaced(f"There is no such earlier generation. There are: {there_are}")
            if not is_empty(profile):
                _number(profile, numbers[-1] + 1)
            _switch(profile, directory_of(profile, wanted), leases)
        _tidy(profile)
        return current(profile) or Generation(number=wanted)


def prune(profile: Path, keep: int, by: str) -> list[int]:
    """Remove all but the `keep` latest of the earlier generations; return the numbers of those removed."""
    profile = Path(os.path.realpath(profile))
    with _lease(profile, _holder(by)), _translating():
        return _prune(profile, keep)


def remove(profile: Path, by: str) -> bool:
    """Remove a profile with all its generations, or what an interrupted removal has left of it. Blocks.

    Returns whether there was anything. Raises as `open_writing` does: nobody may use it.
    """
    leaving = profile.with_name(f"{profile.name}{_LEAVING}")
    history_leaving = profile.with_name(f"{history_folder(profile).name}{_LEAVING}")
    with _translating():
        is_there = profile.is_dir()
        if is_there:
            with _lease(profile, _holder(by)):
                for path, away in ((history_folder(profile), history_leaving), (profile, leaving)):
                    remove_tree(away)
                    if path.exists():
                        path.rename(away)
                sync_directory(profile.parent)
        is_there |= leaving.is_dir() or history_leaving.is_dir()
        remove_tree(history_leaving)
        remove_tree(leaving)
    return is_there


def remove_abandoned(profile: Path) -> bool:
    """Remove a profile that was made by somebody who died before they committed anything. Blocks.

    Returns whether it was such a one. What a person has made stays, and what anybody uses.
    """
    profile = Path(os.path.realpath(profile))
    with contextlib.suppress(OSError, ProfileLocked, ProfileNotReplaced):
        if lease.was_made_by_the_last(profile) and is_empty(profile) and not history(profile):
            with _lease(profile, _holder("the sweep"), may_be_new=True):
                pass  # what is empty goes with the lease
            return not profile.exists()
    return False


def is_empty(profile: Path) -> bool:
    """Return whether a directory holds nothing but marks of a browser. Raises `OSError`."""
    return all(entry.name in LOCK_NAMES for entry in profile.iterdir())


def _holder(by: str, until: datetime | None = None) -> ProfileHolder:
    return ProfileHolder(program=by, pid=os.getpid(), since=datetime.now(UTC), until=until)


@contextlib.contextmanager
def _lease(
    profile: Path, holder: ProfileHolder, *, may_be_new: bool = False
) -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        with _translating():
            way = (
                open_made(profile, holder, beside=history_folder(profile))
                if may_be_new
                else lease.writing(profile, holder)
            )
            leases = stack.enter_context(way)
            if problem := exchange_problem(profile):
                raise ProfileNotReplaced(f"The profile's directory {problem}", detail=repr(str(profile)))
            refuse_browser(profile)
            _settle(profile)
        yield leases


def _switch(profile: Path, other: Path, leases: contextlib.ExitStack) -> None:
    """Exchange two directories while no browser can start, and keep the lease on whichever is the profile."""
    lease.extend(leases, other)
    with keep_browsers_out(profile):
        exchange(profile, other)


def _tidy(profile: Path) -> None:
    """Do what may as well be done later, by the next writer: the profile has its new generation."""
    try:
        sync_directory(profile.parent)
        _settle(profile)
        _prune(profile, KEPT)
    except (OSError, GreenroomError) as exc:
        _log.warning("a profile's earlier generations could not be put in order", detail=repr(exc))


def _settle(profile: Path) -> None:
    """Finish what was interrupted: name each directory by its number, and remove what never was current."""
    folder = history_folder(profile)
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for entry in entries:
        number = entry.name.removesuffix(_NEW)
        if not number.isdecimal() or not entry.is_dir():
            continue
        generation = _read(entry)
        if entry.name.endswith(_NEW):
            never_was = not (entry / GENERATION_FILE).exists()
            if never_was or (generation is not None and generation.number == int(number)):
                remove_tree(entry)
                continue
        if generation is not None and entry.name != str(generation.number):
            entry.rename(directory_of(profile, generation.number))
    if entries:
        sync_directory(folder)


def _prune(profile: Path, keep: int) -> list[int]:
    numbers = sorted((one.number for one in _earlier(profile)), reverse=True)[keep:]
    for number in numbers:
        leaving = history_folder(profile) / f"{number}{_NEW}"  # half removed, it is no generation
        directory_of(profile, number).rename(leaving)
        remove_tree(leaving)
    return numbers


def _earlier(profile: Path) -> list[Generation]:
    folder = history_folder(profile)
    entries = folder.iterdir() if folder.is_dir() else ()
    found = ((entry.name, _read(entry)) for entry in entries)
    return [one for name, one in found if one is not None and name == str(one.number)]


def _is_same(path: Path, first: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), first)
    except OSError:
        return False


def _state(profile: Path) -> tuple[object, ...]:
    """Return what changes once another program has used the profile, or another has taken its place."""
    status = profile.stat()
    return last_opened_ns(profile), (status.st_dev, status.st_ino), profile_version(profile)


def _read(directory: Path) -> Generation | None:
    try:
        return msgspec.json.decode((directory / GENERATION_FILE).read_bytes(), type=Generation)
    except (OSError, msgspec.MsgspecError):
        return None


def _is_numbered(profile: Path) -> bool:
    """Return whether the current generation has a number of its own: a copy of an earlier one has not."""
    shown = current(profile)
    return shown is not None and shown.number not in {one.number for one in _earlier(profile)}


def _number(profile: Path, number: int) -> None:
    """Give a profile its number, unless it has one."""
    if not _is_numbered(profile):
        _write_generation(profile, Generation(number=number))
        sync_directory(profile)


def _write_generation(directory: Path, generation: Generation) -> None:
    path = directory / GENERATION_FILE
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.write(msgspec.json.encode(generation) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    give_to_owner_of(directory, unfinished)
    unfinished.replace(path)


@contextlib.contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ProfileNotReplaced(f"The profile can't be replaced: {exc.strerror}", detail=str(exc)) from exc
