"""Makes new profiles so that of several makers at once one has it, and an empty one never stays."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from greenroom.actors.lifecycle import ProfileHolder
from greenroom.actors.profile import lease
from greenroom.actors.profile.exchange import UNSUPPORTED, rename_to_new
from greenroom.actors.profile.place import make_private

# How often to make a directory that others remove again.
_TRIES = 100


@contextlib.contextmanager
def open_made(profile: Path, holder: ProfileHolder, *, beside: Path) -> Iterator[contextlib.ExitStack]:
    """Own the writer's lease on a profile whose directory is made if it is missing. Blocks.

    One that was made here, or by somebody who has died since, is removed at the end if it is empty, with an
    empty directory `beside` it and those above that were made for it. The lease holds from before the
    directory is there until it is removed, so nobody else can come upon it. Value and errors are those of
    `lease.writing`.
    """
    new: list[Path] = []
    with contextlib.ExitStack() as stack:
        for tries_left in reversed(range(_TRIES)):
            try:
                new = [path for path in (profile, *profile.parents) if not path.exists()]
                held = _make_leased(profile) if new else None
                if not new and lease.was_made_by_the_last(profile):
                    new = [profile]  # its maker has died, or has it still and we are refused
                leases = stack.enter_context(lease.writing(profile, holder, held=held, is_new=bool(new)))
                break
            # Somebody else has just made it, or removed what they made.
            except (FileExistsError, FileNotFoundError, NotADirectoryError):
                if not tries_left:
                    raise
        try:
            yield leases
        finally:
            for folder in (beside, *new[:1]):
                _remove_empty(folder)
    for folder in new[1:]:
        _remove_empty(folder)


def _make_leased(profile: Path) -> contextlib.ExitStack | None:
    """Make an empty profile; return the writer's lease on it. Raises `FileExistsError` and other `OSError`.

    Where the filesystem can't put a directory in place without replacing another, it makes a plain one, on
    which there is no lease yet: None.
    """
    private = profile.with_name(f".greenroom-{secrets.token_hex(8)}")
    make_private(private)
    with contextlib.ExitStack() as held:
        try:
            lease.extend(held, private)
            rename_to_new(private, profile)
        except OSError as exc:
            _remove_empty(private)
            if exc.errno not in UNSUPPORTED:
                raise
            make_private(profile)
            return None
        return held.pop_all()


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # something is in it
        folder.rmdir()
