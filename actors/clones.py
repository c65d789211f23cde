"""A session's clone as the daemon keeps it: in the ledger before it exists, measured when it goes."""

import contextlib
import functools
from collections.abc import AsyncIterator

import attrs
import trio

from actors.errors import GreenroomError, ResourcesExhausted
from actors.ledger import Ledger
from actors.ports import Clone
from actors.profile import ProfileCloner
from actors.resources import Needs, disk_usage, shortage
from actors.threads import Purpose, finish_in_thread, in_thread

_MEASURE_S = 5.0


@attrs.frozen(kw_only=True)
class LedgeredProfiles:
    """Clones of the master profile within a ledger. Satisfies `ports.Profiles`."""

    cloner: ProfileCloner
    ledger: Ledger
    needs: Needs

    @contextlib.asynccontextmanager
    async def open_clone(self, session_id: str) -> AsyncIterator[Clone]:
        """Own a clone, unless the machine is short of what a session needs; see `ports.Profiles`.

        What was promised to sessions let in before, and not taken by them yet, counts as taken.
        """
        look = await in_thread(Purpose.MASTER, self.cloner.look)
        needs = attrs.evolve(self.needs, disk_bytes=self.needs.disk_bytes + look.bytes)
        with self.ledger.promises.promise(session_id, needs) as promised:
            check = functools.partial(shortage, self.ledger.folder, needs, promised=promised)
            lacking = await in_thread(Purpose.ROOM, check)
            if lacking:
                raise ResourcesExhausted(lacking)
            async with self.ledger.hold(session_id):
                clone = Clone(self.ledger.folder / session_id, look.version)
                try:
                    async with self.cloner.open_clone(session_id):
                        self.ledger.promises.clone_made(session_id)
                        try:
                            yield clone
                        finally:
                            clone.freed_bytes = await _measure(clone)
                finally:
                    clone.left = await self.ledger.left_of(session_id)

    async def is_current(self, clone: Clone) -> bool:
        """See `ports.Profiles`."""
        try:
            version = await in_thread(Purpose.MASTER, self.cloner.look_at_version)
        except GreenroomError:
            return False
        return version == clone.version

    async def current_version(self) -> str:
        """See `ports.Profiles`."""
        return await in_thread(Purpose.MASTER, self.cloner.look_at_version)

    async def place_problem(self) -> str | None:
        """See `ports.Profiles`."""
        return await self.ledger.problem()


async def _measure(clone: Clone) -> int:
    """Return what a clone takes on disk, or 0 where the disk does not say so in time."""
    with contextlib.suppress(trio.TooSlowError):
        return await finish_in_thread(Purpose.REMOVAL, disk_usage, clone.path, within_s=_MEASURE_S)
    return 0
