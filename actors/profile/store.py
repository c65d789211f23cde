"""The profiles that there are: the default one at its own path, and named ones together in a directory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import attrs

from greenroom.actors.errors import ProfileExists, ProfileNotFound, ProfileUnusable
from greenroom.actors.lifecycle import DEFAULT_PROFILE, check_profile_name
from greenroom.actors.profile.generations import remove, remove_abandoned
from greenroom.actors.profile.lease import forget_the_last
from greenroom.actors.profile.place import make_private


@attrs.frozen(kw_only=True)
class ProfileStore:
    """Where profiles are. Each is a directory, with its earlier generations beside it.

    A name can't leave `folder`: see `check_profile_name`, whose `ValueError` every method raises that takes a
    name. Methods block, and raise `ProfileUnusable` for what the disk refuses.
    """

    default: Path
    folder: Path

    def path_of(self, name: str) -> Path:
        """Return where a profile is, or would be."""
        check_profile_name(name)
        return self.default if name == DEFAULT_PROFILE else self.folder / name

    def names(self) -> list[str]:
        """Return the names of the profiles that exist, the default one first if it does."""
        with _translating("listed"):
            entries = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
            named = [entry.name for entry in entries if _is_profile(entry)]
            return [DEFAULT_PROFILE, *named] if self.default.is_dir() else named

    def find(self, name: str) -> Path:
        """Return where a profile is. Raises `ProfileNotFound` if a named one does not exist."""
        path = self.path_of(name)
        with _translating("found"):
            if name != DEFAULT_PROFILE and not path.is_dir():
                raise ProfileNotFound(name)
        return path

    def make(self, name: str) -> Path:
        """Make an empty profile, readable by its owner only. Raises `ProfileExists`."""
        path = self.path_of(name)
        with _translating("made"):
            make_private(path.parent)
            try:
                path.mkdir(0o700)
            except FileExistsError:
                raise ProfileExists(name) from None
            forget_the_last(path)
        return path

    def delete(self, name: str) -> None:
        """Remove a profile with all its generations. Also finishes a removal that was interrupted.

        Raises `ProfileNotFound`, or what `generations.remove` does. The default profile is not Greenroom's to
        remove: for it, raises `ProfileUnusable`.
        """
        path = self.path_of(name)
        if name == DEFAULT_PROFILE:
            raise ProfileUnusable("The default profile is not deleted here: remove its directory yourself")
        with _translating("deleted"):
            if path.is_symlink():
                raise ProfileUnusable("The profile is a link: remove it and what it leads to yourself")
        if not remove(path, "greenroom profile delete"):
            raise ProfileNotFound(name)

    def sweep(self) -> list[str]:
        """Remove the profiles that were made for a first login whose daemon has died; return their names."""
        return [name for name in self.names() if remove_abandoned(self.path_of(name))]


def _is_profile(entry: Path) -> bool:
    with contextlib.suppress(ValueError):
        check_profile_name(entry.name)
        return entry.name != DEFAULT_PROFILE and entry.is_dir()
    return False


@contextlib.contextmanager
def _translating(done: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ProfileUnusable(f"The profile can't be {done}: {exc.strerror}", detail=str(exc)) from exc
