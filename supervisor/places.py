"""The default directories: for clones, and for what is to last."""

import contextlib
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path


class NoPlace(OSError):
    """There is no directory for this; the text says why."""


def default_clones_dir() -> Path:
    """Return `greenroom/clones` in the user's cache directory or, without a home, a directory of its own.

    The cache directory is XDG_CACHE_HOME, otherwise `.cache` in HOME or in the home that the system knows.
    Relative directories, and those that can't be written to, are skipped. So is `/` as a home, which is what
    containers have whose image doesn't know the user. The last resort is `greenroom-UID` in the directory for
    temporary files. It is made here, before anybody else can make it. Raises `NoPlace` if even that fails.
    """
    for cache in _bases("XDG_CACHE_HOME", ".cache"):
        if _is_writable(cache):
            return cache / "greenroom" / "clones"
    return _make_own_directory() / "clones"


def state_dir() -> Path:
    """Return `greenroom` in the user's state directory: XDG_STATE_HOME, otherwise `.local/state` in a home.

    Homes are found, and directories are skipped, as for `default_clones_dir`. There is no last resort, since
    what is kept here is to last. Raises `NoPlace`.
    """
    for state in _bases("XDG_STATE_HOME", ".local/state"):
        if _is_writable(state):
            return state / "greenroom"
    raise NoPlace("neither XDG_STATE_HOME nor HOME can be written to")


def _bases(variable: str, in_home: str) -> Iterator[Path]:
    """Return the places for a kind of file, by the XDG standard: its variable, then below each home."""
    base = Path(os.environ.get(variable, ""))
    if base.is_absolute():
        yield base
    for home in _homes():
        if home.is_absolute() and home != Path("/") and os.path.isdir(home):  # noqa: PTH112  # raises nothing
            yield home / in_home


def _homes() -> Iterator[Path]:
    yield Path(os.environ.get("HOME", ""))
    with contextlib.suppress(KeyError):  # a user that the system doesn't know
        yield Path(pwd.getpwuid(os.getuid()).pw_dir)


def _is_writable(folder: Path) -> bool:
    """Return whether files can be made in a directory. It may not exist yet."""
    for existing in (folder, *folder.parents):
        if os.path.lexists(existing):
            return os.access(existing / ".", os.W_OK | os.X_OK, effective_ids=True)
    return False


def _make_own_directory() -> Path:
    """Make a directory that only this user can look into. It always has the same name, to be found again."""
    try:
        folder = Path(tempfile.gettempdir(), f"greenroom-{os.getuid()}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as exc:
        raise NoPlace(f"neither HOME nor the temporary files' directory can be written to: {exc}") from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NoPlace(f"HOME can't be written to, and {folder} is not this user's alone")
    return folder
