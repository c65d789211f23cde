"""A session's private copy of the master profile: made when nobody uses the master, removed without fail."""

from actors.profile.clones import ProfileCloner
from actors.profile.copy import NOT_CLONED
from actors.profile.lock import is_locked
from actors.profile.removal import remove_clone

__all__ = ["NOT_CLONED", "ProfileCloner", "is_locked", "remove_clone"]
