"""Run the clients: `python -m tests.clients`, or `make clients`."""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
import httpx
from rich.console import Console

from greenroom.actors.relay.table import PLAYWRIGHT
from tests.chaos.world import serving
from tests.clients.seen import REFUSED, SEEN
from tests.clients.tools import use_cli, use_mcp
from tests.real.conftest import GREENROOM, make_quiet_profile

_PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
_PROGRAM = Path(__file__).with_name("client.mjs")
_OLDEST = (1, 60)
_INSTALL_S = 120
_USE_S = 90
_INTRO = """\
# Clients that are known to work

Written by `{command}` on {date}: each client was installed from npm and used a live session of a real
daemon, with Firefox standing in for Camoufox and Playwright {driver} as its driver. Playwright's rows fill in
and send forms, answer a dialog, open tabs, save a download, upload files of 5 bytes and of 60 MB by their
paths, record a trace, take over a request, take a picture, read the storage state, are refused what they must
be, attach twice at once, leave and come back. The tools' rows open a page, take a snapshot and click.

Playwright for Python is tested with the rest of the project (`tests/real/test_relay.py`).

| client | version | |
|---|---|---|
"""


@attrs.frozen
class Stage:
    """A daemon, and the practice site that its sessions open."""

    daemon: str
    site: str

    @contextlib.contextmanager
    def session(self) -> Iterator[str]:
        """Yield the address of a live session, and end it afterwards."""
        created = httpx.post(f"{self.daemon}/tiktok/session", timeout=_USE_S)
        created.raise_for_status()
        path = f"{self.daemon}{created.headers['Location']}"
        try:
            yield httpx.get(f"{path}/playwright").json()["address"]
        finally:
            httpx.delete(path, timeout=_USE_S)


@click.command()
@click.option("--write/--no-write", default=True, help="Write docs/clients.md.")
def main(*, write: bool) -> None:
    """Use a live session with each client that npm has, and say which ones can.

    Exit code 1 if one can't. Needs Node and npm.
    """
    console = Console()
    rows: list[tuple[str, str, str]] = []

    def note(client: str, version: str, use: Callable[[], str]) -> None:
        problem = use()
        rows.append((client, version, problem))
        console.print(f"{client} {version}: {problem or 'works'}", style="red" if problem else "")

    with tempfile.TemporaryDirectory() as name, open_stage(Path(name)) as stage:
        folder = Path(name)
        for version in playwright_versions():
            library = install(folder, "playwright-core", version)
            note("Playwright for Node", version, functools.partial(use_node, stage, library, folder))
        for package, use in (("@playwright/mcp", use_mcp), ("@playwright/cli", use_cli)):
            version = newest(package)
            library = install(folder, package, version)
            with stage.session() as address:
                note(package, version, functools.partial(use, library, address, stage.site))
    if write:
        _PAGE.write_text(page(rows))
    sys.exit(any(problem for _, _, problem in rows))


@contextlib.contextmanager
def open_stage(folder: Path) -> Iterator[Stage]:
    """Run a practice site, and a daemon for a profile that is logged in to it."""
    master = folder / "master"
    make_quiet_profile(master)
    own = {"GREENROOM_CLONES_DIR": str(folder / "clones"), "XDG_STATE_HOME": str(folder / "state")}
    env, log = os.environ | own, folder / "log"
    practice = ["practice", "--bind", "127.0.0.1:0"]
    with serving(practice, dict(env), log, "all its pages") as (_, site_said):
        site = site_said["practice site"].rstrip("/")
        login = [*GREENROOM, "login", "--headless", "--url", f"{site}/login?as=maker"]
        subprocess.run([*login, "--user-data-dir", str(master)], check=True, capture_output=True)
        serve = ["serve", "--bind", "127.0.0.1:0", "--engine", "firefox", "--url", f"{site}/"]
        with serving([*serve, "--user-data-dir", str(master)], dict(env), log, "address") as (_, said):
            yield Stage(said["address"], site)


def playwright_versions() -> list[str]:
    """Return the newest release of each minor version from the oldest that can connect."""
    newest_of: dict[tuple[int, int], tuple[int, str]] = {}
    for version in json.loads(npm("view", "playwright-core", "versions", "--json")):
        parts = version.split(".")
        if len(parts) == 3 and all(part.isdigit() for part in parts):
            major, minor, patch = map(int, parts)
            if (major, minor) >= _OLDEST:
                newest_of[major, minor] = max(newest_of.get((major, minor), (-1, "")), (patch, version))
    return [version for _, (_, version) in sorted(newest_of.items())]


def newest(package: str) -> str:
    """Return a package's newest version."""
    return npm("view", package, "version").strip()


def install(folder: Path, package: str, version: str) -> Path:
    """Install a package in a folder of its own; return where its files are."""
    place = folder / f"{package}-{version}".replace("/", "-")
    npm(
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        str(place),
        f"{package}@{version}",
    )
    return place / "node_modules" / package


def npm(*words: str) -> str:
    """Return what npm prints."""
    command = [shutil.which("npm") or "npm", "--silent", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
    return done.stdout


def use_node(stage: Stage, library: Path, folder: Path) -> str:
    """Run the program with one version of Playwright; return what is wrong, if anything."""
    with stage.session() as address:
        command = ["node", str(_PROGRAM), address, stage.site, str(folder), str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_USE_S)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason"])[-1]
    seen = json.loads(done.stdout)
    refused = " ".join(seen.pop("refused"))
    problems = [f"{name}: {seen.get(name)!r}" for name, value in SEEN.items() if seen.get(name) != value]
    problems += [f"not refused: {told}" for told in REFUSED if told not in refused]
    return "; ".join(problems)


def page(rows: list[tuple[str, str, str]]) -> str:
    """Return the page."""
    intro = _INTRO.format(command="make clients", date=f"{datetime.now(UTC):%Y-%m-%d}", driver=PLAYWRIGHT)
    lines = (f"| {client} | {version} | {problem or 'works'} |\n" for client, version, problem in rows)
    return intro + "".join(lines)


if __name__ == "__main__":
    main()
