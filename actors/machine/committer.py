"""The right of one session to write the master profile, and the way there."""

import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import trio

from greenroom.actors.errors import CloneFailed
from greenroom.actors.profile.copy import Progress, copy_profile
from greenroom.actors.profile.generations import Writing, open_writing
from greenroom.actors.profile.place import give_to_owner_of
from greenroom.actors.profile.settings_files import restore_settings
from greenroom.actors.profile.translate import writing_clone
from greenroom.actors.threads import Purpose, finish_in_thread

# Taking the lease takes milliseconds, and removing what was not committed up to a second; this is for a disk
# that hangs.
_LEASE_S = 30.0


@attrs.frozen(eq=False)
class Committer:
    """Commits a session's clone as the master profile's next generation."""

    _writing: Writing

    async def commit(self, clone: Path) -> int:
        """Commit a clone whose browser has quit; return the generation's number.

        Must not be cancelled. Raises `ProfileNotReplaced`, `ProfileLocked`, `ProfileUnusable` or
        `CloneFailed`, with the master as it was.
        """
        return await trio.to_thread.run_sync(self._commit, clone)

    def _commit(self, clone: Path) -> int:
        writing = self._writing
        copy_profile(clone, writing.new, Progress())
        with writing_clone(writing.new):
            restore_settings(writing.new, writing.profile)
            give_to_owner_of(writing.profile, writing.new, *writing.new.rglob("*"))
        writing.commit()
        return writing.generation.number


@contextlib.asynccontextmanager
async def open_committer(master: Path, by: str) -> AsyncIterator[Committer]:
    """Own the right to write `master` for the length of the block.

    Raises `ProfileLocked` if somebody else reads or writes it, or a browser has it, `ProfileNotReplaced` if
    it can't be replaced, and `CloneFailed` if the disk does not answer.
    """
    leases = contextlib.ExitStack()
    opening = functools.partial(leases.enter_context, open_writing(master, by))
    try:
        writing = await finish_in_thread(Purpose.MASTER, opening, within_s=_LEASE_S)
    except trio.TooSlowError:
        raise _too_slow("opened", master) from None
    try:
        yield Committer(writing)
    finally:
        try:
            await finish_in_thread(Purpose.REMOVAL, leases.close, within_s=_LEASE_S)
        except trio.TooSlowError:
            raise _too_slow("given back", master) from None


def _too_slow(what: str, master: Path) -> CloneFailed:
    return CloneFailed(f"The master profile could not be {what} in time", detail=repr(str(master)))
