"""A session's clone as the daemon keeps it: in the ledger before it exists, measured when it goes."""

import contextlib
import functools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import trio

from actors.errors import GreenroomError, ResourcesExhausted
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
        """Own a clone, unless the machine is short of what a session needs; see `ports.Profiles`.

        What was promised to sessions let in before, and not taken by them yet, counts as taken.
        """
        look = await trio.to_thread.run_sync(self.cloner.look, abandon_on_cancel=True)
        needs = attrs.evolve(self.needs, disk_bytes=self.needs.disk_bytes + look.bytes)
        with self.ledger.promises.promise(session_id, needs) as promised:
            check = functools.partial(shortage, self.ledger.folder, needs, promised=promised)
            lacking = await trio.to_thread.run_sync(check, abandon_on_cancel=True)
            if lacking:
                raise ResourcesExhausted(lacking)
            async with self.ledger.hold(session_id), self.cloner.open_clone(session_id) as path:
                self.ledger.promises.clone_made(session_id)
                clone = Clone(path, look.version)
                try:
                    yield clone
                finally:
                    with trio.CancelScope(shield=True):
                        clone.freed_bytes = await trio.to_thread.run_sync(disk_usage, path)

    async def is_current(self, clone: Clone) -> bool:
        """See `ports.Profiles`."""
        try:
            version = await trio.to_thread.run_sync(self.cloner.look_at_version, abandon_on_cancel=True)
        except GreenroomError:
            return False
        return version == clone.version

    async def current_version(self) -> str:
        """See `ports.Profiles`."""
        return await trio.to_thread.run_sync(self.cloner.look_at_version, abandon_on_cancel=True)

    async def place_problem(self) -> str | None:
        """See `ports.Profiles`."""
        if await trio.to_thread.run_sync(_is_usable, self.ledger.folder, abandon_on_cancel=True):
            return None
        return "The clones directory is missing or can't be written"


def _is_usable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
