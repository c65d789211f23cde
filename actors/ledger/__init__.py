"""The ledger: what a daemon owns, on disk before it exists, so that whoever comes after a crash can end it.

A daemon keeps everything of its sessions in one directory of its own, `clones_dir/OWNER`: a lock file that
it holds as long as it lives, an entry per session in `ledger/`, and the sessions' directories. A later daemon
that gets the lock knows that the owner is dead, ends what belongs to it, and removes the directory. What
is in no such directory is never touched: no other daemon's session, no browser of the user's own.
"""

from actors.ledger.entries import Entry, OwnedProcess
from actors.ledger.living import Ledger, open_ledger
from actors.ledger.sweep import KillMarked, sweep

__all__ = ["Entry", "KillMarked", "Ledger", "OwnedProcess", "open_ledger", "sweep"]
