"""Secrets that go every way through a real daemon, a crash included, and where they must not turn up."""

import io
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import psutil
import pytest

from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.real.conftest import GREENROOM

pytestmark = pytest.mark.browser

TOKEN = "canary-0-of-the-operator-0123456789"
NAMED = "canary-1-of-a-named-token-0123456789"
WRONG = "canary-2-of-a-wrong-token-0123456789"
PROXY = "canary-3-of-a-proxy-0123456789"
COOKIE = "canary-4-of-a-cookie-0123456789"
TYPED = "canary-5-that-was-typed-0123456789"
QUERY = "canary-6-of-a-query-0123456789"
STORED = "canary-7-of-local-storage-0123456789"
CONTENT = "canary-8-of-the-page-s-content-0123456789"
CANARY = re.compile(rb"canary-\d")

# What is done in the session, and what is told to the daemon that is wrong.
STEPS = [
    {"kind": "evaluate", "expression": f"document.cookie = 'own={COOKIE}; path=/; max-age=3600'"},
    {"kind": "evaluate", "expression": f"localStorage.setItem('own', '{STORED}')"},
    {"kind": "evaluate", "expression": "console.log(document.cookie, localStorage.own, document.title)"},
    {"kind": "type", "target": "#caption", "text": TYPED},
    {"kind": "evaluate", "expression": f"document.title = '{CONTENT}'"},
]
BROKEN = [
    ("/actions", {"kind": "type", "target": "#caption", "text": TYPED, "slowly": TYPED}),
    ("/actions", {"kind": "type", "target": "#none", "text": TYPED, "timeout_s": 0.5}),
    ("/actions", {"kind": "evaluate", "expression": f"throw new Error('{CONTENT}')"}),
    ("/links", {"mode": TYPED}),
]


@attrs.define
class Seen:
    """What outsiders get to see, by where it was found."""

    found: dict[str, bytes] = attrs.field(factory=dict)

    def leaking(self) -> dict[str, list[bytes]]:
        """Return where canaries are, and which."""
        return {
            place: sorted(set(CANARY.findall(content)))
            for place, content in self.found.items()
            if CANARY.search(content)
        }


@contextmanager
def daemon(settings: DaemonSettings, folder: Path) -> Iterator[tuple[psutil.Process, httpx.Client]]:
    """Run the daemon with secrets wherever it takes them, and its log, with all there is, in a file."""
    tokens = folder / "tokens.toml"
    tokens.write_text(f'[worker]\ntoken = "{NAMED}"\nscope = "admin"\n')
    tokens.chmod(0o600)
    env = {
        "GREENROOM_TOKEN": TOKEN,
        "GREENROOM_TOKENS_FILE": str(tokens),
        "GREENROOM_TIKTOK_URL": settings.tiktok_url,
        "GREENROOM_CLONES_DIR": str(settings.clones_dir),
        "XDG_STATE_HOME": str(folder / "state"),
        "GREENROOM_WARM_SESSIONS": "0",
        "CAMOUFOX_USER_DATA_DIR": str(settings.user_data_master_dir),
    }
    command = [*GREENROOM, "serve", "--verbose", "--bind", "127.0.0.1:0", "--engine", "firefox"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **env})
    assert process.stdout is not None
    with process, process.stdout:
        try:
            address = next(line for line in process.stdout if line.startswith(b"address")).split()[1].decode()
            with httpx.Client(base_url=address, timeout=patience(60), trust_env=False) as http:
                yield psutil.Process(process.pid), http
        finally:
            process.terminate()


def look_at_processes(root: psutil.Process, seen: Seen) -> psutil.Process:
    """Note the arguments of all processes, and the environments of all but the daemon; return the browser."""
    browsers = []
    for process in root.children(recursive=True):
        words = process.cmdline()
        seen.found[f"arguments of {process.name()} {process.pid}"] = "\0".join(words).encode()
        seen.found[f"environment of {process.name()} {process.pid}"] = Path(
            f"/proc/{process.pid}/environ"
        ).read_bytes()
        if "firefox" in process.name() and "-contentproc" not in words and "--profile" in words:
            browsers.append(process)
    seen.found["arguments of the daemon"] = "\0".join(root.cmdline()).encode()
    assert len(seen.found) > 6
    return browsers[-1]


def look_at_files(folder: Path, seen: Seen, *, but: Callable[[Path], bool]) -> None:
    """Note all files in a folder but those where the secrets belong."""
    for path in folder.rglob("*"):
        if path.is_file() and not but(path):
            seen.found[f"file {path.relative_to(folder)}"] = path.read_bytes()


def test_no_secret_turns_up_where_it_does_not_belong(settings: DaemonSettings, tmp_path: Path) -> None:
    """Not in the log, an answer to others, an argument, another's environment, a bundle, or a file."""
    seen = Seen()
    refused = subprocess.run(
        [*GREENROOM, "serve", "--verbose", "--bind", "127.0.0.1:0", "--engine", "firefox"],
        env={**os.environ, "GREENROOM_PROXY": f"http://someone:{PROXY}@127.0.0.1:9"},
        capture_output=True,
        timeout=patience(30),
        check=False,
    )
    assert refused.returncode == 1
    seen.found["a start that is refused for its proxy"] = refused.stdout + refused.stderr
    with daemon(settings, tmp_path) as (process, http):

        def note(answer: httpx.Response) -> httpx.Response:
            seen.found[f"{answer.request.method} {answer.request.url.path}, {len(seen.found)}"] = (
                "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode()
                + answer.content
            )
            return answer

        note(http.get("/overview", headers={"Authorization": f"Bearer {WRONG}"}))
        note(http.post("/login", json={"token": WRONG}))
        note(http.post("/login", json={"token": TOKEN}))
        http.headers["Authorization"] = f"Bearer {NAMED}"
        note(http.post("/tiktok/session", headers={"X-Profile": "shop"}))
        path = http.post("/tiktok/session").raise_for_status().headers["Location"]
        address = f"{settings.tiktok_url}workshop?token={QUERY}"
        http.post(f"{path}/actions", json={"kind": "navigate", "url": address}).raise_for_status()
        http.post(f"{path}/actions", json={"actions": STEPS}).raise_for_status()
        for below, body in BROKEN:
            http.post(f"{path}{below}", json=body)
        note(http.post(f"{path}/links", json={"mode": "view", "name": "Ada"}))
        browser = look_at_processes(process, seen)
        time.sleep(3)  # the recorder looks every two seconds
        for place in (
            *("/overview", path, "/leaks", "/profiles", "/whoami", "/health", f"{path}/control"),
            *("/metrics", "/pressure"),
        ):
            note(http.get(place).raise_for_status())
        note(http.get("/ready"))
        browser.kill()
        deadline = time.monotonic() + patience(20)
        while http.get(path).json()["session"]["state"] != "ended" and time.monotonic() < deadline:
            time.sleep(0.1)
        session = note(http.get(path)).json()["session"]
        assert session["has_bundle"]
        with zipfile.ZipFile(io.BytesIO(http.get(f"{path}/bundle").raise_for_status().content)) as bundle:
            # What a page shows is in it, apart from what was typed: the bundle is for the operator.
            seen.found |= {
                f"bundle's {name}": bundle.read(name).replace(CONTENT.encode(), b"")
                for name in bundle.namelist()
            }
        note(http.get("/overview"))
        note(http.get("/tiktok/history"))
        process.kill()
        process.wait(patience(10))
    profiles = (settings.user_data_master_dir, settings.user_data_master_dir.with_suffix(".profiles"))
    look_at_files(
        tmp_path,
        seen,
        but=lambda file: (
            file.name == "tokens.toml"
            or any(folder in file.parents for folder in profiles)
            or (settings.clones_dir in file.parents and "clone" in str(file))
        ),
    )
    shutil.rmtree(settings.clones_dir)  # which the next daemon would sweep
    assert b"audit" in seen.found["file log"]
    assert b"browser_lost" in seen.found["file state/greenroom/history.sqlite3-wal"]
    assert seen.leaking() == {}
