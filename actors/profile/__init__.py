"""A session's private copy of the master profile: never made of a profile in use, and always removed."""

from actors.profile.clones import ProfileCloner
from actors.profile.compatibility import last_version, newer_than
from actors.profile.copy import NOT_CLONED
from actors.profile.kind import other_kind
from actors.profile.lock import is_locked
from actors.profile.place import make_private, path_problem

__all__ = [
    "NOT_CLONED",
    "ProfileCloner",
    "is_locked",
    "last_version",
    "make_private",
    "newer_than",
    "other_kind",
    "path_problem",
]
