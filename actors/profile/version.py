"""What a profile is like at one moment, without reading its files."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from actors.profile.copy import NOT_CLONED


def profile_version(profile: Path) -> str:
    """Return a text that changes with the name, size or mtime of any file that a clone would have.

    Takes some 5 microseconds a file. Raises `OSError` when the profile can't be looked into.
    """
    digest = hashlib.blake2b(digest_size=16)
    for line in sorted(_files(profile, NOT_CLONED)):
        digest.update(line)
    return digest.hexdigest()


def _files(folder: Path, leave_out: frozenset[str] = frozenset()) -> Iterator[bytes]:
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.name in leave_out:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                status = entry.stat(follow_symlinks=False)
                yield os.fsencode(f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}\n")
