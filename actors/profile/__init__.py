"""A session's private copy of the master profile: never made of a profile in use, and always removed."""

from greenroom.actors.profile.cloner import ProfileCloner
from greenroom.actors.profile.compatibility import last_version, newer_than
from greenroom.actors.profile.copy import NOT_CLONED
from greenroom.actors.profile.kind import other_kind
from greenroom.actors.profile.place import make_private, path_problem

__all__ = [
    "NOT_CLONED",
    "ProfileCloner",
    "last_version",
    "make_private",
    "newer_than",
    "other_kind",
    "path_problem",
]
