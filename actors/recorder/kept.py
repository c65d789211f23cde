"""The ends of sessions of which a bundle is kept."""

from typing import Final

from greenroom.actors.lifecycle import EndReason

KEPT: Final = frozenset(
    {
        EndReason.BROWSER_LOST,
        EndReason.CREATION_TIMEOUT,
        EndReason.FAILED,
        EndReason.NOT_LOGGED_IN,
        EndReason.OVER_BUDGET,
    }
)
