"""A practice site and a logged-in master profile. Both are made once, by the real commands."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import psutil
import pytest
import trio
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from greenroom.actors.browser.cells.marks import own_processes, scan
from greenroom.actors.owner import HOST_PREFIX, OWNER
from greenroom.web.commands.serve import open_daemon
from greenroom.web.settings import DaemonSettings
from tests.patience import patience

GREENROOM = [str(Path(sys.executable).with_name("greenroom"))]
COMMAND_S = patience(60)
POLL_S = 0.05
CHROMIUM = "/usr/bin/chromium"

# Turns off what neither pages nor Greenroom need: processes for extensions, the network and media, the new
# tab's page, lists of bad sites, and sixty frames a second.
QUIET = {
    "browser.newtab.preload": False,
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "extensions.webextensions.remote": False,
    "gfx.webrender.software": True,
    "layout.frame_rate": 5,
    "media.rdd-process.enabled": False,
    "media.utility-process.enabled": False,
    "network.process.enabled": False,
}


@contextlib.contextmanager
def running(*args: str, **env: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """Run a serving command; yield its process and the lines that it prints at start, by first word."""
    process = subprocess.Popen(
        [*GREENROOM, *args], stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
    )
    assert process.stdout is not None
    said: dict[str, str] = {}
    try:
        with process.stdout:
            while not {"address", "all its pages"} & said.keys():
                line = process.stdout.readline()
                assert line, f"greenroom {args[0]} ended: {process.wait()}"
                subject, value = re.split(r"  +", line.strip(), maxsplit=1)
                said[subject] = value
            yield process, said
    finally:
        process.terminate()
        process.wait(COMMAND_S)


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The base URL of a practice site that runs in its own process."""
    with running("practice", "--bind", "127.0.0.1:0") as (_process, said):
        yield said["practice site"].rstrip("/")


@pytest.fixture(scope="session")
def logged_in_master(site: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A master profile, logged in as "maker" by `greenroom login`. Don't use it; copy it."""
    folder = tmp_path_factory.mktemp("profiles") / "maker"
    make_quiet_profile(folder)
    login = [*GREENROOM, "login", "--headless", "--url", f"{site}/login?as=maker", "--user-data-dir"]
    done = subprocess.run(
        [*login, str(folder)], capture_output=True, text=True, check=False, timeout=COMMAND_S
    )
    assert done.returncode == 0, done.stderr
    assert "Logged in" in done.stdout
    return folder


def make_quiet_profile(folder: Path) -> None:
    """Make a profile whose browser does little beside its pages: a launch costs a quarter less CPU."""
    folder.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in QUIET.items())
    (folder / "prefs.js").write_text("".join(lines))


@pytest.fixture
def master(logged_in_master: Path, tmp_path: Path) -> Path:
    """The test's own logged-in master profile."""
    return Path(shutil.copytree(logged_in_master, tmp_path / "master", symlinks=True))


@pytest.fixture
def logged_out_master(logged_in_master: Path, tmp_path: Path) -> Path:
    """A master profile without a login. A browser has used it before."""
    folder = Path(shutil.copytree(logged_in_master, tmp_path / "logged-out", symlinks=True))
    for cookies in folder.glob("cookies.sqlite*"):
        cookies.unlink()
    return folder


@pytest.fixture
def settings(site: str, master: Path, tmp_path: Path) -> DaemonSettings:
    """Settings of a daemon for the logged-in master, on a free port."""
    return DaemonSettings(
        bind="127.0.0.1:0",
        engine="firefox",
        tiktok_url=f"{site}/",
        user_data_master_dir=master,
        clones_dir=tmp_path / "clones",
        warm_sessions=0,
        session_creation_timeout=patience(30),
        login_detection_timeout=patience(8),
    )


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with contextlib.closing(playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)) as browser:
        yield browser


@attrs.frozen
class Running:
    """A running daemon's address and process."""

    url: str
    process: "subprocess.Popen[str]"


Serve = Callable[..., "contextlib.AbstractContextManager[Running]"]


@pytest.fixture
def serve(settings: DaemonSettings) -> Serve:
    """Runs a daemon for the length of a block."""

    @contextlib.contextmanager
    def run(bind: str = "127.0.0.1:0", **more: str) -> Iterator[Running]:
        environ = {
            "GREENROOM_BIND": bind,
            "GREENROOM_ENGINE": "firefox",
            "GREENROOM_TIKTOK_URL": settings.tiktok_url,
            "GREENROOM_USER_DATA_MASTER_DIR": str(settings.user_data_master_dir),
            "GREENROOM_CLONES_DIR": str(settings.clones_dir),
            "GREENROOM_WARM_SESSIONS": "0",
            "GREENROOM_DRAIN_GRACE": "0",
            **more,
        }
        with running("serve", **environ) as (process, said):
            yield Running(said["address"], process)

    return run


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a browser of its own; an error in its scripts fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(patience(20_000))
    expect.set_options(timeout=patience(20_000))
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security" in message.text else None,
    )
    yield page
    context.close()
    assert problems == []


@attrs.frozen
class Client:
    """An HTTP client of a daemon under test. It also counts what is left of the daemon's sessions."""

    http: httpx.AsyncClient
    clones_dir: Path

    async def create(self) -> httpx.Response:
        return await self.http.post("/tiktok/session", json={})

    async def session(self, location: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(location)).json()["session"]
        return found

    async def ended(self, location: str, *, within_s: float) -> dict[str, Any]:
        """Wait until a session has ended; return it."""
        with trio.fail_after(patience(within_s)):
            while (session := await self.session(location))["state"] != "ended":
                await trio.sleep(POLL_S)
        return session

    def left(self) -> tuple[int, int]:
        """Return the numbers of browser processes and of clones. The host kept ready doesn't count."""
        return len(browser_processes()), len(clones_in(self.clones_dir))


def browser_processes() -> list[psutil.Process]:
    """Return this process's browser processes, without their hosts."""
    of_hosts = f".{HOST_PREFIX}"
    found = []
    for mark, pids in scan().items():
        for pid in pids if mark.startswith(OWNER) and of_hosts not in mark else ():
            with contextlib.suppress(psutil.Error):
                found.append(psutil.Process(pid))
    return found


@contextlib.asynccontextmanager
async def open_client(settings: DaemonSettings, **changes: Any) -> AsyncIterator[Client]:
    """Run a daemon in this process and yield a client for it. Check at the end that nothing is left."""
    settings = attrs.evolve(settings, **changes)
    async with (
        open_daemon(settings) as daemon,
        httpx.AsyncClient(base_url=daemon.url, timeout=patience(120)) as http,
    ):
        client = Client(http, settings.clones_dir)
        yield client
    assert own_processes() == []
    assert clones_in(settings.clones_dir) == []


def clones_in(clones_dir: Path) -> list[Path]:
    """Return the clones of all daemons in `clones_dir`."""
    return [path for path in clones_dir.glob("*/*-*-*-*-*") if path.suffix != ".tmp"]


def fingerprint(folder: Path) -> str:
    """Return a hash of all names, contents, modes and modification times below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest.update(f"{path.relative_to(folder)} {status.st_mode} {status.st_mtime_ns}\n".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()
