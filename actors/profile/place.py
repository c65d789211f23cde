"""Where a profile may be: at a path short enough for SQLite, in directories that only its owner can enter."""

import contextlib
import errno
import os
from pathlib import Path

# SQLite opens no file whose path, with `-journal`, has more than 512 bytes (MAX_PATHNAME in os_unix.c). A
# site's database below `storage/default/https+++www.tiktok.com/idb/` takes 90 of them. Measured
# on Firefox 153: a profile with a path of 450 bytes silently has no bookmarks and no IndexedDB, and one with
# 492 no cookies.
_MAX_BYTES = 420


def path_problem(directory: Path, *, below: int = 0) -> str | None:
    """Return why a browser could not use a profile at `directory`, or `below` bytes below it, or None.

    The text is a clause without the path, which continues after the directory's name.
    """
    # SQLite resolves symlinks and other code does not, so the longer of the two paths counts.
    length = max(len(os.fsencode(path)) for path in (directory.absolute(), os.path.realpath(directory)))
    allowed = _MAX_BYTES - below
    if length <= allowed:
        return None
    return (
        f"has a path of {length} bytes, and the limit is {allowed}: "
        "a browser could not open its databases below a longer path"
    )


def make_private(directory: Path) -> None:
    """Make `directory` and any missing parents, 0700 each, whatever the umask is. Raises `OSError`."""
    for path in reversed((directory, *directory.parents)):
        if not path.exists():
            with contextlib.suppress(FileExistsError):
                path.mkdir(0o700)
                path.chmod(0o700)  # a umask such as 0277 takes bits from mkdir's mode
    if not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))


def give_to_owner_of(original: Path, *paths: Path) -> None:
    """Let what root makes beside a user's profile be the user's; others do nothing. Raises `OSError`."""
    owner = original.stat()
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
