"""Master profiles and their generations: what `greenroom profile` does."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import trio

from greenroom.actors.browser.cells.environment import IDENTITY_FILE
from greenroom.actors.errors import GreenroomError, NotLoggedIn, ProfileLocked, ProfileUnusable
from greenroom.actors.lifecycle import login_command
from greenroom.actors.profile import ProfileCloner, generations
from greenroom.actors.profile.cookies import SavedLogin, read_login
from greenroom.actors.profile.copy import Progress, copy_profile
from greenroom.actors.profile.generations import Generation
from greenroom.actors.profile.place import give_to_owner_of
from greenroom.actors.resources import disk_usage
from greenroom.web.commands.login import describe_login
from greenroom.web.settings import DaemonSettings

_BY = "greenroom profile"


@attrs.frozen
class Profiles:
    """The profiles that the settings name. Methods block; they raise `GreenroomError`."""

    _settings: DaemonSettings

    def list(self) -> Iterator[str]:
        """Yield a line for each profile."""
        store = self._settings.profiles
        for name in store.names():
            try:
                login = self.of(name).login()
            except GreenroomError as exc:
                login = str(exc)
            yield f"{name:<12}{login}  {store.path_of(name).absolute()}"

    def of(self, name: str) -> "Profile":
        """Return one profile. Raises `ProfileNotFound`."""
        store = self._settings.profiles
        path = store.find(name)
        cloner = ProfileCloner(name=name, master=path, clones_dir=self._settings.clones_dir)
        return Profile(name, path, urlsplit(self._settings.tiktok_url).hostname or "", cloner)

    def new(self, name: str) -> str:
        """Make an empty profile; return a sentence about it."""
        path = self._settings.profiles.make(name)
        return f"Made {path}. Log in to it with `{login_command(name)}`."

    def delete(self, name: str) -> str:
        """Remove a profile with all its generations; return a sentence about it."""
        self._settings.profiles.delete(name)
        return f"Deleted {name}."


@attrs.frozen
class Profile:
    """A master profile. Methods block; they raise `GreenroomError` for one that sessions could not use."""

    _name: str
    _path: Path
    _host: str
    _cloner: ProfileCloner

    def show(self) -> Iterator[tuple[str, str]]:
        """Yield what there is to know, each with its name."""
        self._refuse_unusable()
        try:
            self._cloner.look_at_version()
            in_use = "no"
        except ProfileLocked as exc:
            holder = exc.holder
            in_use = f"by {holder.program}, process {holder.pid}" if holder else "yes"
        yield "profile", str(self._path.absolute())
        current = generations.current(self._path)
        yield "generation", _describe(current) if current else "none: nothing was committed yet"
        yield "earlier", str(len(self._earlier(current)))
        yield "login", self.login()
        yield "identity", self._identity()
        yield "in use", in_use

    def check(self) -> tuple[bool, str]:
        """Return whether the profile's login still holds, and a sentence about it."""
        self._refuse_unusable()
        saved = read_login(self._path, self._host)
        if saved.expires_at is None:
            return False, f"There is no login at {self._host}: run `{login_command(self._name)}`."
        if not saved.holds_at(datetime.now(UTC)):
            when = f"{saved.expires_at:%Y-%m-%d %H:%M} UTC"
            return False, f"The login at {self._host} has expired, {when}: run `{login_command(self._name)}`."
        return True, f"The login at {self._host} can last {_time_left(saved)}: {describe_login(saved)}."

    def history(self) -> Iterator[str]:
        """Yield a line for each generation, the latest first."""
        self._refuse_unusable()
        current = generations.current(self._path)
        if current is None:
            yield "The current profile has no number yet: the next login that is saved gives it one."
        for one in generations.history(self._path):
            is_current = one == current
            folder = self._path if is_current else generations.directory_of(self._path, one.number)
            size = f"{disk_usage(folder) / (1 << 20):,.0f} MB"
            yield f"{_describe(one)}, {size}{', current' if is_current else ''}"

    def roll_back(self, number: int | None) -> str:
        """Make an earlier generation current; return a sentence about it."""
        self._refuse_unusable()
        now = generations.roll_back(self._path, number, _BY)
        return f"Current is generation {_describe(now)}, with {self.login()}."

    def new_identity(self) -> str:
        """Take the machine that Camoufox pretends to be out of the profile; return a sentence about it."""
        self._refuse_unusable()
        if not (self._path / IDENTITY_FILE).exists():
            return "The profile has no identity: its next login, or session in write mode, gives it one."
        number = trio.run(trio.to_thread.run_sync, self._drop_identity)
        return f"Saved as generation {number}. The next login, or session in write mode, gives it another."

    def _identity(self) -> str:
        """Return whether the profile has a machine of its own, and where that is."""
        try:
            kept = json.loads((self._path / IDENTITY_FILE).read_bytes())
            return f"its own, with the time zone {kept['place']['timezone']}"
        except FileNotFoundError:
            return "another for each session"
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return "its own"

    def _drop_identity(self) -> int:
        with generations.open_writing(self._path, _BY) as writing:
            copy_profile(self._path, writing.new, Progress())
            (writing.new / IDENTITY_FILE).unlink(missing_ok=True)
            give_to_owner_of(self._path, writing.new, *writing.new.rglob("*"))
            writing.commit()
        return writing.generation.number

    def prune(self, keep: int) -> str:
        """Remove earlier generations; return a sentence about it."""
        self._refuse_unusable()
        removed = generations.prune(self._path, keep, _BY)
        return f"Removed: {', '.join(map(str, removed)) or 'none'}."

    def _earlier(self, current: Generation | None) -> list[Generation]:
        return [one for one in generations.history(self._path) if one != current]

    def login(self) -> str:
        """Return which login it has, and until when."""
        saved = read_login(self._path, self._host)
        return describe_login(saved) if saved.expires_at else f"no login at {self._host}"

    def _refuse_unusable(self) -> None:
        """Raise `ProfileUnusable`, with what to do, if sessions could not use the profile."""
        try:
            self._cloner.look_at_version()
        except ProfileLocked:
            return
        except NotLoggedIn as exc:
            raise ProfileUnusable(exc.hint or str(exc)) from exc


def _describe(one: Generation) -> str:
    when = f", {one.committed_at:%Y-%m-%d %H:%M} UTC" if one.committed_at else ""
    return f"{one.number}{when}{f', by {one.by}' if one.by else ''}"


def _time_left(saved: SavedLogin) -> str:
    if saved.expires_at is None:
        return "no time"
    left = saved.expires_at - datetime.now(UTC)
    return f"{left.days} days" if left.days else f"{left.seconds // 3600} hours"
