"""Takes a login from elsewhere into a profile, and out of one: `greenroom import` and `greenroom export`."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs
import msgspec
import trio

from greenroom.actors.errors import LoginFileInvalid
from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.profile.cookies import read_cookies
from greenroom.actors.profile.local_storage import read_local_storage
from greenroom.actors.profile.lock import refuse_browser
from greenroom.actors.profile.login_files import MAX_BYTES, Login, choose, read_login_file
from greenroom.web.commands.desk import Desk


async def import_login(
    desk: Desk, source: Path, say: Callable[[str], None], *, profile: str, url: str, takes_all: bool
) -> None:
    """Give a profile the login in `source`: an exported file, or the directory of a Firefox profile.

    Of a directory, the cookies and the local storage are taken. A browser must show a login with it before it
    is saved. `say` hears what was taken. Raises `LoginFileInvalid`, `ProfileUnusable` or `ProfileLocked` for
    the source, and what the desk raises.
    """
    login, unfit = await trio.to_thread.run_sync(_read, source, None if takes_all else url)
    if login.expired:
        say(f"Left out, since they have expired: {', '.join(login.expired)}.")
    if login.left_out:
        say(f"Left out, since they are of other sites: {login.left_out}. --all takes them, too.")
    if unfit:
        say(f"Left out of local storage, since they are too large, too many or no text: {unfit}.")
    say(f"Trying the login in a browser, with {_count(login)} ...")
    generation = await desk.give(profile, login.state, takes_all=takes_all)
    say(f"Logged in. Saved as generation {generation} of the profile {profile}.")


async def export_login(
    desk: Desk, target: Path, say: Callable[[str], None], *, profile: str, url: str, takes_all: bool
) -> None:
    """Write a profile's login to a new file, readable by its owner only, as Playwright's storage state.

    Raises `LoginFileInvalid` if the file exists or can't be written, and what the desk raises.
    """
    if await trio.Path(target).exists():
        raise LoginFileInvalid(f"{target} exists already")
    say(f"Opening {desk.engine} on a copy of the master profile ...")
    try:
        state = msgspec.json.decode(await desk.take(profile), type=StorageState)
    except msgspec.MsgspecError as exc:
        raise LoginFileInvalid(f"The session has no storage state: {exc}") from None
    login = choose(state, url=None if takes_all else url, now=datetime.now(UTC))
    await trio.to_thread.run_sync(_write, target, msgspec.json.encode(login.state))
    say(f"Wrote {_count(login)} to {target}. Whoever has this file is logged in as you.")


def _count(login: Login) -> str:
    count = len(login.state.cookies)
    cookies = "1 cookie" if count == 1 else f"{count} cookies"
    kept = sum(len(origin.local_storage) for origin in login.state.origins)
    return f"{cookies} and local storage of {kept} entries" if kept else cookies


def _read(source: Path, url: str | None) -> tuple[Login, int]:
    """Return what there is, and how much of local storage had to be left out."""
    now = datetime.now(UTC)
    try:
        if source.is_dir():
            refuse_browser(source)
            cookies, kept = tuple(read_cookies(source)), read_local_storage(source, url)
            login = choose(StorageState(cookies=cookies, origins=kept.origins), url=url, now=now)
            return attrs.evolve(login, left_out=login.left_out + kept.of_others), kept.unfit
        with source.open("rb") as file:
            return read_login_file(file.read(MAX_BYTES + 1), url=url, now=now), 0
    except OSError as exc:
        raise LoginFileInvalid(f"Can't read {source}: {exc.strerror}") from exc


def _write(target: Path, content: bytes) -> None:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
            file.write(content)
    except OSError as exc:
        raise LoginFileInvalid(f"Can't write {target}: {exc.strerror}") from exc
