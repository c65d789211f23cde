"""The ledger: what a daemon owns, written to disk before it exists, so that the next daemon can end it.

A daemon keeps everything of its sessions in a single directory, `clones_dir/OWNER`: a lock file that it holds
as long as it lives, an entry per session in `ledger/`, and the sessions' directories. A later daemon that
gets the lock knows that the owner is dead, ends what belongs to it, and removes the directory. Anything
outside such directories is never touched: other daemons' sessions and the user's own browsers are safe.
"""

from greenroom.actors.ledger.entry import Entry, OwnedProcess
from greenroom.actors.ledger.ledger import Ledger, open_ledger
from greenroom.actors.ledger.sweep import KillMarked, sweep

__all__ = ["Entry", "KillMarked", "Ledger", "OwnedProcess", "open_ledger", "sweep"]
