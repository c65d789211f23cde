"""Turns the operating system's errors into Greenroom's: paths go into the detail, never into the text."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenroom.actors.errors import CloneFailed, ProfileUnusable


@contextmanager
def reading_master(path: Path) -> Iterator[None]:
    """Raise `ProfileUnusable` for an `OSError` in the block, which reads `path` of the master."""
    try:
        yield
    except OSError as exc:
        raise ProfileUnusable(
            f"The master profile can't be read: {exc.strerror}", detail=f"{str(path)!r}: {exc}"
        ) from exc


@contextmanager
def writing_clone(path: Path) -> Iterator[None]:
    """Raise `CloneFailed` for an `OSError` in the block, which writes `path` of a clone."""
    try:
        yield
    except OSError as exc:
        raise CloneFailed(
            f"The clone could not be made: {exc.strerror}", detail=f"{str(path)!r}: {exc}"
        ) from exc
