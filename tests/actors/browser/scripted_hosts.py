"""Browser hosts that are small scripts in real processes. They do what a real host never would."""

import re
import sys
from pathlib import Path

import pytest
import trio

from greenroom.actors.browser.cells.sandbox import SandboxChoice, choose_sandbox
from greenroom.actors.browser.client import link
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.host import BrowserHosts
from greenroom.actors.browser.engines import Engine, EngineName
from greenroom.actors.browser.wire.messages import PROTOCOL_VERSION, Proxy
from greenroom.actors.errors import BrowserLost, UpstreamUnreachable
from greenroom.actors.ledger import Ledger
from greenroom.actors.verdict import Method
from tests.patience import patience

ENGINE = Engine(name=EngineName.FIREFOX, executable=Path("/nonexistent/firefox"), version="1")
URL = "https://example.org/"
STALLED_S = patience(0.5)  # for hosts that are the subject of `lose_patience`
# With bubblewrap, if it runs here, and without.
SANDBOXES = ["auto", "none"]

# How every host script starts: the protocol, written again from scratch for a process that starts quickly.
# `requests` yields the requests, and answers those that need no script.
PRELUDE = (
    f"VERSION = {PROTOCOL_VERSION}"
    + """
import json, os, socket, sys, time
from types import SimpleNamespace

connection = socket.socket(fileno=0)

def frame(type, **fields):
    body = json.dumps({"type": type, "session": "" if type == "Ready" else "a", **fields}).encode()
    return len(body).to_bytes(4, "big") + bytes(4) + body

def tell(type, **fields):
    connection.sendall(frame(type, **fields))

def ready():
    tell("Ready", version=VERSION)

def done(message):
    tell("Done", id=message.id, session=message.session)

def messages():
    stream = connection.makefile("rb")
    while lengths := stream.read(8):
        yield SimpleNamespace(**json.loads(stream.read(int.from_bytes(lengths[:4], "big"))))

def requests():
    for message in messages():
        if message.type in {"Ping", "Discard"}:
            done(message)
        else:
            yield message
""".replace("VERSION", str(PROTOCOL_VERSION))
)

# A host that does what the URLs say that it is asked to load: they are Python code. Each browser is a process
# that sleeps. `start` returns it at once; `spawn` waits until it shows its marker. `seen` lists the requests
# so far, except heartbeats.
PUPPET = (
    PRELUDE
    + """
import subprocess

MARKER = "GREENROOM_CELL"

seen, markers = [], {}

def start(marker):
    environ = {**os.environ, MARKER: marker}
    nothing = subprocess.DEVNULL
    return subprocess.Popen(["sleep", "99"], env=environ, stdin=nothing, stdout=nothing, stderr=nothing)

def spawn(marker):
    process = start(marker)  # which shows no environment while it execs, or once it is killed
    while process.poll() is None and marker not in environ_of(process): pass

def environ_of(process):
    try:
        return open(f"/proc/{process.pid}/environ").read()
    except OSError:
        return ""

def launch(message):
    markers[message.session] = message.marker
    spawn(message.marker)
    done(message)

def obey(message):
    exec(message.url, globals())
    done(message)

def report():
    tell("Unreachable", id=message.id, session=message.session, detail=", ".join(seen))

handlers = {"Launch": launch, "Navigate": obey, "Cancel": lambda message: None}
ready()
for message in messages():
    if message.type != "Ping":
        seen.append(f"{message.type} {message.session}")
    handlers.get(message.type, done)(message)
"""
)


# The possible messages when a host is gone. Which one comes depends on what is noticed first.
GONE = "closed the conversation|process died|stopped reading|connection broken"


def script_hosts(
    folder: Path,
    script: str,
    *,
    sandbox: str = "auto",
    proxy: Proxy | None = None,
    ledger: Ledger | None = None,
) -> BrowserHosts:
    """Return an opener for hosts that run `script`, which is kept in `folder`."""
    path = folder / "host.py"
    path.write_text(script)
    return BrowserHosts(
        engine=ENGINE,
        sandbox=choose_sandbox(SandboxChoice(sandbox)),
        proxy=proxy,
        ledger=ledger,
        host_command=(sys.executable, "-S", str(path)),
    )


def lose_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare hosts stalled after a short time."""
    monkeypatch.setattr(link, "_STALLED_S", STALLED_S)
    monkeypatch.setattr(link, "_HEARTBEAT_S", 0.05)
    monkeypatch.setattr(link, "_SEND_S", patience(0.2))


async def seen_by_host(browser: ScraplingFetcherAdapter) -> list[str]:
    """Return the requests that the puppet has seen so far, each as a type and a session."""
    with pytest.raises(UpstreamUnreachable) as caught:
        await browser.navigate("report()")
    return str(caught.value).removeprefix("TikTok could not be reached: ").split(", ")


async def until_seen(browser: ScraplingFetcherAdapter, request: str) -> None:
    """Wait until the puppet has seen `request`."""
    while request not in await seen_by_host(browser):
        await trio.lowlevel.checkpoint()


async def assert_lost(browser: ScraplingFetcherAdapter, why: str) -> None:
    """Fail unless a request under way, a later one and a mere waiter all learn `why` the host was lost."""
    with pytest.raises(BrowserLost) as under_way:
        await browser.navigate(URL)
    with pytest.raises(BrowserLost) as later:
        await browser.inspect(Method.HTML, {})
    with pytest.raises(BrowserLost) as waiting:
        await browser.wait_lost()
    for caught in (under_way, later, waiting):
        assert str(caught.value) == "The browser was lost"
        assert re.search(why, str(caught.value.detail)), caught.value.detail
