"""The right of one session to write the master profile, and the way there."""

import contextlib
import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import trio

from greenroom.actors.errors import CloneFailed, ProfileNotReplaced
from greenroom.actors.profile.cookies import read_login
from greenroom.actors.profile.copy import Progress, copy_profile
from greenroom.actors.profile.generations import Writing, open_writing
from greenroom.actors.profile.place import give_to_owner_of
from greenroom.actors.profile.settings_files import restore_settings
from greenroom.actors.profile.translate import writing_clone
from greenroom.actors.threads import Work, finish_in_thread, in_thread

# Taking the lease takes milliseconds, and removing what was not committed up to a second; this is for a disk
# that hangs.
_LEASE_S = 30.0


@attrs.frozen(eq=False)
class Committer:
    """Commits a session's clone as the master profile's next generation."""

    _writing: Writing
    _host: str
    _noting: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def put_off(self, until: datetime) -> None:
        """Let those who are refused the profile know that it is until then. The last to ask counts."""
        async with self._noting:
            await in_thread(Work.MASTER, self._writing.put_off, until)

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
        if not read_login(writing.new, self._host).holds_at(datetime.now(UTC)):
            raise ProfileNotReplaced(
                "The login ended with the browser: the site let it end there (look for a box like 'remember "
                "me'), or the profile is set to forget cookies"
            )
        writing.commit()
        return writing.generation.number


@contextlib.asynccontextmanager
async def open_committer(
    master: Path, by: str, *, host: str, may_be_new: bool, until: datetime | None
) -> AsyncIterator[Committer]:
    """Own the right to write `master` for the length of the block.

    What is committed must have a login at `host`. A master that `may_be_new` is made if it is missing, and
    removed at the end if it is empty then. `until` is when the block ends at the latest, if that is known.

    Raises `ProfileLocked` if somebody else reads or writes it, or a browser has it, `ProfileNotReplaced` if
    it can't be replaced, and `CloneFailed` if the disk does not answer.
    """
    leases = contextlib.ExitStack()
    opening = functools.partial(_open, leases, master, by, until, may_be_new=may_be_new)
    try:
        writing = await finish_in_thread(Work.MASTER, opening, within_s=_LEASE_S)
    except trio.TooSlowError:
        raise _too_slow("opened", master) from None
    try:
        yield Committer(writing, host)
    finally:
        try:
            await finish_in_thread(Work.REMOVAL, leases.close, within_s=_LEASE_S)
        except trio.TooSlowError:
            raise _too_slow("given back", master) from None


def _open(
    leases: contextlib.ExitStack, master: Path, by: str, until: datetime | None, *, may_be_new: bool
) -> Writing:
    return leases.enter_context(open_writing(master, by, until=until, may_be_new=may_be_new))


def _too_slow(what: str, master: Path) -> CloneFailed:
    return CloneFailed(f"The master profile could not be {what} in time", detail=repr(str(master)))
