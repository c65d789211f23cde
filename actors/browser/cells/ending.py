"""Ending the processes of a cell, and the error if that fails."""

from collections.abc import Sequence

from greenroom.actors.errors import BrowserLost
from greenroom.actors.machine.sampler import Sampler


class NotEnded(BrowserLost):
    """Processes have outlived SIGKILL, for example because they wait for a dead disk."""

    def __init__(self, token: str, pids: Sequence[int]) -> None:
        super().__init__("A browser's processes could not be ended", detail=f"cell {token}, pids {pids}")


async def end_processes(token: str, sampler: Sampler) -> None:
    """Kill the processes of the cell `token` until none is left. Shield it from cancellation.

    Raises `BrowserLost` when they can't be ended within 5 s.
    """
    if left := await sampler.end(token):
        raise NotEnded(token, left)
