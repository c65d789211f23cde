"""A session's clone as the daemon keeps it: in the ledger before it exists, measured when it goes."""

import contextlib
from collections.abc import AsyncIterator

import attrs
import trio

from actors.errors import ResourcesExhausted
from actors.ledger import Ledger
from actors.ports import Clone
from actors.profile import ProfileCloner
from actors.resources import Needs, disk_usage, shortage


@attrs.frozen(kw_only=True)
class LedgeredProfiles:
    """Clones of the master profile within a ledger. Satisfies `ports.Profiles`."""

    cloner: ProfileCloner
    ledger: Ledger
    needs: Needs

    @contextlib.asynccontextmanager
    async def open_clone(self, session_id: str) -> AsyncIterator[Clone]:
        """Own a clone, unless the machine is short of what a session needs; see `ports.Profiles`."""
        lacking = await trio.to_thread.run_sync(self._shortage, abandon_on_cancel=True)
        if lacking:
            raise ResourcesExhausted(lacking)
        async with self.ledger.hold(session_id), self.cloner.open_clone(session_id) as path:
            clone = Clone(path)
            try:
                yield clone
            finally:
                with trio.CancelScope(shield=True):
                    clone.freed_bytes = await trio.to_thread.run_sync(disk_usage, path)

    def _shortage(self) -> str | None:
        size = disk_usage(self.cloner.master)
        return shortage(self.ledger.folder, attrs.evolve(self.needs, disk_bytes=self.needs.disk_bytes + size))
