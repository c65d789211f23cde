"""Clones of the master profile, each owned by an `async with` block."""

import contextlib
import copy
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import attrs
import structlog
import trio

from greenroom.actors.errors import (
    CloneFailed,
    GreenroomError,
    NotAProfile,
    NotLoggedIn,
    ProfileLocked,
    ProfileNotFound,
    ProfileUnusable,
)
from greenroom.actors.lifecycle import DEFAULT_PROFILE, login_command
from greenroom.actors.profile.compatibility import COMPATIBILITY_FILE, newer_than
from greenroom.actors.profile.copy import LOCK_NAMES, NOT_CLONED, Progress, copy_profile
from greenroom.actors.profile.kind import other_kind
from greenroom.actors.profile.lease import reading
from greenroom.actors.profile.lock import last_opened_ns, refuse_browser
from greenroom.actors.profile.place import make_private, path_problem
from greenroom.actors.profile.removal import remove_in_time, remove_tree
from greenroom.actors.profile.translate import reading_master, writing_clone
from greenroom.actors.profile.version import profile_version
from greenroom.actors.resources import disk_usage
from greenroom.actors.threads import Work, finish_in_thread, in_thread
from greenroom.actors.verdict import LoginReason, LoginState, Method, Verdict

# The disk limits a copy: with more at once, all of them would finish later.
_COPIES_AT_ONCE = 2

# How often to copy a master that changes meanwhile, and the pause between two attempts.
_TRIES = 3
_PAUSE_S = 0.05

# Making a directory takes microseconds; this is for a disk that hangs.
_MAKE_S = 10.0

_log = structlog.get_logger("greenroom.profile")


@attrs.frozen(kw_only=True)
class Look:
    """The master at one moment: its `bytes` on disk, and a `version` that differs after any change."""

    version: str
    bytes: int


@attrs.define(eq=False, kw_only=True)
class ProfileCloner:
    """Makes private copies of the profile `master`, whose name is `name`, in `clones_dir`.

    It never writes to the master.

    A copy is made under a reader's lease, so all of it is of one generation. Other programs know no leases,
    so changes are looked for as well. With `is_leased`, whoever uses it has the writer's lease. One that
    `may_be_empty` makes empty clones of an empty master.

    All file work runs in threads. At most two copies run at a time; others wait. With `engine_version`, the
    clone of a profile that a newer browser used last is made to hide that, so that ours opens it. What is in
    the master under a name to `leave_out` is not copied.
    Raises `ProfileUnusable` when the master's path is too long for a browser.
    """

    master: Path
    clones_dir: Path
    engine_version: str = ""
    name: str = DEFAULT_PROFILE
    leave_out: frozenset[str] = NOT_CLONED
    is_leased: bool = False
    may_be_empty: bool = False
    _copies: trio.CapacityLimiter = attrs.field(
        init=False, factory=lambda: trio.CapacityLimiter(_COPIES_AT_ONCE)
    )

    def __attrs_post_init__(self) -> None:
        self.check_path()

    def check_path(self) -> None:
        """Raise `ProfileUnusable` if no browser could use the profile where it is."""
        if problem := path_problem(self.master):
            raise ProfileUnusable(f"The master profile {problem}", detail=repr(str(self.master)))

    @asynccontextmanager
    async def open_clone(self, session_id: str) -> AsyncIterator[Path]:
        """Own a clone of the master profile, the directory `clones_dir/session_id`, for the block's length.

        The clone, and any missing directory above it, is 0700 from the start. Leaving the block in any way
        removes the clone; cancellation does not interrupt that. Cancelling on the way in stops a copy at
        once, logs the file that it was at, and removes what was copied. A disk that hangs blocks one thread,
        and delays nobody else.

        Raises on entering, leaving no clone behind:
        - `NotLoggedIn` when the master is missing or empty, `ProfileNotFound` when a named one is missing;
        - `ProfileLocked` when the master is in use or being written, or changes during every attempt to copy
          it;
        - `NotAProfile` when the master is not a Firefox profile;
        - `ProfileUnusable` when the master can't be read, or holds something that can't be copied;
        - `CloneFailed` when the clone can't be written, or exists already, in which case it is not touched;
        - `ValueError` when `session_id` is not a plain file name.

        Raises `CloneFailed` on leaving when the clone can't be removed within 30 s.
        """
        clone = self.clones_dir / session_id
        if clone.parent != self.clones_dir or session_id == "..":
            raise ValueError(f"not a plain file name: {session_id!r}")
        await in_thread(Work.MASTER, self._check_master)
        try:
            await finish_in_thread(Work.LEDGER, self._make_empty, clone, within_s=_MAKE_S)
        except trio.TooSlowError:
            raise CloneFailed("The clone could not be made in time", detail=repr(str(clone))) from None
        progress = Progress()
        try:
            try:
                # Abandoned, because a disk that hangs may never let the thread see the cancellation.
                await trio.to_thread.run_sync(
                    self._fill, clone, progress, limiter=self._copies, abandon_on_cancel=True
                )
            except trio.Cancelled:
                _log_abandoned(session_id, progress)
                raise
            yield clone
        finally:
            await remove_in_time(clone)

    def look(self) -> Look:
        """Return the master's version and size now. Blocks. Raises what `open_clone` does on entering."""
        version = self.look_at_version()
        return Look(version=version, bytes=disk_usage(self.master))

    def look_at_version(self) -> str:
        """Return the master's version now. Blocks. Raises what `open_clone` does on entering."""
        self._check_master()
        with reading_master(self.master):
            return profile_version(self.master, self.leave_out)

    def _make_empty(self, clone: Path) -> None:
        with writing_clone(clone):
            make_private(self.clones_dir)
            clone.mkdir(0o700)

    def _fill(self, clone: Path, progress: Progress) -> None:
        """Copy the master; start over if it changes meanwhile, since such a copy may be torn."""
        problem: GreenroomError = ProfileLocked("User data directory changes while it is copied")
        for _ in range(_TRIES):
            self._check_master()  # again: the copy may have waited for its turn
            with reading_master(self.master), self._lease():
                before = self._state()
                try:
                    copy_profile(self.master, clone, progress, self.leave_out)
                except ProfileUnusable as exc:
                    if self._is(before):
                        raise  # otherwise a file may only have vanished under the copy
                    problem = exc
                if self._is(before):
                    self._make_openable(clone)
                    return
            remove_tree(clone)
            time.sleep(_PAUSE_S)
            trio.from_thread.check_cancelled()
            self._make_empty(clone)
        raise problem

    def for_profile(self, name: str, master: Path) -> "ProfileCloner":
        """Return a cloner of another profile. Both share their limit of copies."""
        other = copy.copy(self)
        other.name, other.master = name, master
        other.check_path()
        return other

    def for_writer(self, *, may_be_empty: bool) -> "ProfileCloner":
        """Return this cloner as one who has the writer's lease uses it. Both share their limit of copies."""
        other = copy.copy(self)
        other.is_leased, other.may_be_empty = True, may_be_empty
        return other

    def _lease(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext() if self.is_leased else reading(self.master)

    def _state(self) -> tuple[object, ...]:
        """Return what changes once a browser has used the master, or another has taken its place."""
        self._check_master()
        with reading_master(self.master):
            status = self.master.stat()
            place = status.st_dev, status.st_ino, status.st_ctime_ns
            return last_opened_ns(self.master), place, profile_version(self.master, self.leave_out)

    def _is(self, state: tuple[object, ...]) -> bool:
        with contextlib.suppress(NotLoggedIn, ProfileLocked, ProfileUnusable):
            return self._state() == state
        return False

    def _make_openable(self, clone: Path) -> None:
        if newer_than(clone, self.engine_version):
            with writing_clone(clone):
                (clone / COMPATIBILITY_FILE).unlink()

    def _check_master(self) -> None:
        """Refuse a master that is missing, empty, locked, not Firefox's, or that contains the clones."""
        with reading_master(self.master):
            try:
                names = {entry.name for entry in self.master.iterdir()}
            except FileNotFoundError as exc:
                if self.name != DEFAULT_PROFILE:
                    raise ProfileNotFound(self.name) from exc
                raise _nobody("is missing: run `greenroom login` to create one and log in") from exc
            except NotADirectoryError as exc:
                raise NotAProfile(
                    f"The master profile can't be read: {exc.strerror}", detail=repr(str(self.master))
                ) from exc
            if names <= LOCK_NAMES and not self.may_be_empty:
                raise _nobody(f"is empty: run `{login_command(self.name)}` to log in")
            refuse_browser(self.master)
            with self._lease():  # refuses if somebody writes it
                pass
            if not (self.may_be_empty and names <= LOCK_NAMES) and (
                problem := other_kind(self.master, names)
            ):
                raise NotAProfile(f"The master profile {problem}", detail=repr(str(self.master)))
        if Path(os.path.realpath(self.clones_dir)).is_relative_to(os.path.realpath(self.master)):
            raise CloneFailed(
                "The clones directory is inside the master profile", detail=repr(str(self.clones_dir))
            )


def _nobody(fault: str) -> NotLoggedIn:
    """Return the error for a profile without content, which can't be logged in.

    A verdict has to name a method; HTML is the one that would have come first.
    """
    verdict = Verdict(state=LoginState.LOGGED_OUT, reason=LoginReason.NO_PROFILE, method=Method.HTML)
    return NotLoggedIn(verdict, hint=f"The master profile {fault}")


def _log_abandoned(session_id: str, progress: Progress) -> None:
    """Log the file at which a copy was abandoned; it may be the cause of the delay."""
    _log.warning(
        "abandoned a copy of the master profile",
        session_id=session_id,
        file=str(progress.file) if progress.file else "none yet: waiting for other copies",
        copied_bytes=progress.copied_bytes,
        of_bytes=progress.of_bytes,
    )
