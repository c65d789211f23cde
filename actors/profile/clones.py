"""Clones of the master profile, each owned by an `async with` block."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from actors.errors import CloneFailed, NotLoggedIn, ProfileLocked
from actors.profile.copy import LOCK_NAMES, copy_profile
from actors.profile.lock import is_locked, last_opened_ns
from actors.profile.removal import remove_clone
from actors.profile.translate import reading_master, writing_clone
from actors.profile.version import profile_version
from actors.resources import disk_usage
from actors.verdict import LoginReason, LoginState, Method, Verdict

# The disk is the limit of a copy: more of them at once would all end later.
_COPIES_AT_ONCE = 2

# Removing 1 GB takes a fraction of a second; this is for a disk that hangs.
_REMOVAL_GRACE_S = 30


@attrs.frozen(kw_only=True)
class Look:
    """What the master was like at one moment: `bytes` on disk, and a `version` that any change changes."""

    version: str
    bytes: int


@attrs.define(eq=False, kw_only=True)
class ProfileCloner:
    """Makes private copies of the profile `master` in `clones_dir`; never writes to the master.

    All file work runs in threads, copies in at most two at a time; further ones wait for their turn.
    """

    master: Path
    clones_dir: Path
    _copies: trio.CapacityLimiter = attrs.field(
        init=False, factory=lambda: trio.CapacityLimiter(_COPIES_AT_ONCE)
    )

    @asynccontextmanager
    async def open_clone(self, session_id: str) -> AsyncIterator[Path]:
        """Own a clone of the master profile, the directory `clones_dir/session_id`, for the block's length.

        Only its owner can look into it, from its creation on; missing directories above it are made likewise.
        Leaving the block, however that comes about, removes it; cancellation does not cut that short.
        Cancelling on the way in stops a copy at once and removes what it made.

        Raises on entering, leaving no clone behind:
        - `NotLoggedIn` when the master is missing or empty;
        - `ProfileLocked` when the master is in use, or was while it was copied: the copy may be torn;
        - `ProfileUnusable` when the master can't be read or holds what can't be copied;
        - `CloneFailed` when the clone can't be written, or exists already: then it is not touched;
        - `ValueError` when `session_id` is no plain file name.

        Raises `CloneFailed` on leaving when the clone can't be removed, or not within 30 s.
        """
        clone = self.clones_dir / session_id
        if clone.parent != self.clones_dir or session_id == "..":
            raise ValueError(f"not a plain file name: {session_id!r}")
        await trio.to_thread.run_sync(self._make_empty, clone)
        try:
            await trio.to_thread.run_sync(self._fill, clone, limiter=self._copies)
            yield clone
        finally:
            await _remove(clone)

    def look(self) -> Look:
        """Return what the master is like now. Blocks. Raises what `open_clone` does on entering."""
        version = self.look_at_version()
        return Look(version=version, bytes=disk_usage(self.master))

    def look_at_version(self) -> str:
        """Return the master's version now. Blocks. Raises what `open_clone` does on entering."""
        self._check_master()
        with reading_master(self.master):
            return profile_version(self.master)

    def _make_empty(self, clone: Path) -> None:
        """Make the clone's directory, if there is something to clone."""
        self._check_master()
        with writing_clone(clone):
            _make_private(self.clones_dir)
            clone.mkdir(0o700)

    def _fill(self, clone: Path) -> None:
        """Copy the master, which must stay closed for as long as that takes."""
        with reading_master(self.master):
            opened_ns = last_opened_ns(self.master)
        self._check_master()  # again: this copy may have waited for its turn
        copy_profile(self.master, clone)
        with reading_master(self.master):
            if is_locked(self.master) or last_opened_ns(self.master) != opened_ns:
                raise ProfileLocked

    def _check_master(self) -> None:
        """Refuse a master that is missing, empty, locked, or around the clones themselves."""
        with reading_master(self.master):
            try:
                names = {entry.name for entry in self.master.iterdir()}
            except FileNotFoundError as exc:
                raise _nobody("is missing: run `greenroom login` to make one and log in") from exc
            if names <= LOCK_NAMES:
                raise _nobody("is empty: run `greenroom login` to log in")
            if is_locked(self.master):
                raise ProfileLocked
        if Path(os.path.realpath(self.clones_dir)).is_relative_to(os.path.realpath(self.master)):
            raise CloneFailed(
                "The clones directory lies inside the master profile", detail=repr(str(self.clones_dir))
            )


def _nobody(fault: str) -> NotLoggedIn:
    """Say that nobody is logged in to a profile without content. HTML is the method that would have asked."""
    verdict = Verdict(state=LoginState.LOGGED_OUT, reason=LoginReason.NO_PROFILE, method=Method.HTML)
    return NotLoggedIn(verdict, hint=f"The master profile {fault}")


def _make_private(directory: Path) -> None:
    """Make `directory` and what is missing above it, 0700 each: `Path.mkdir` does that for the last only."""
    for path in reversed((directory, *directory.parents)):
        if not path.exists():
            path.mkdir(0o700, exist_ok=True)


async def _remove(clone: Path) -> None:
    """Remove `clone`, cancelled or not. A removal that hangs is left to its thread after the grace."""
    with trio.move_on_after(_REMOVAL_GRACE_S, shield=True):
        await trio.to_thread.run_sync(remove_clone, clone, abandon_on_cancel=True)
        return
    raise CloneFailed("The clone could not be removed in time", detail=repr(str(clone)))
