"""What only real host processes can show: how they die, stop reading, print, and keep secrets."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
import psutil
import pytest
import structlog.testing
import trio

from greenroom.actors.browser.cells.marks import own_processes
from greenroom.actors.browser.cells.sandbox import SandboxChoice, choose_sandbox
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.host import BrowserHosts
from greenroom.actors.browser.engines import Engine, EngineName
from greenroom.actors.browser.wire.messages import Proxy
from greenroom.actors.errors import BrowserLost, EngineUnavailable, UpstreamUnreachable
from greenroom.actors.testing import find_state
from greenroom.actors.verdict import LoginState, Method
from tests.actors.browser.scripted_hosts import (
    ENGINE,
    GONE,
    PRELUDE,
    URL,
    assert_lost,
    lose_patience,
    script_hosts,
)
from tests.patience import patience

PROXY = Proxy(server="http://127.0.0.1:9", username="proxyuser", password="proxyuser-hunter2")

OpenHost = Callable[..., AbstractAsyncContextManager[ScraplingFetcherAdapter]]


@pytest.fixture
def open_host(tmp_path: Path) -> OpenHost:
    """Return an opener for a host that runs a script."""

    @contextlib.asynccontextmanager
    async def open_script(
        body: str, proxy: Proxy | None = None, sandbox: str = "auto"
    ) -> AsyncIterator[ScraplingFetcherAdapter]:
        hosts = script_hosts(tmp_path, PRELUDE + body, sandbox=sandbox, proxy=proxy)
        with trio.fail_after(patience(20)):
            async with hosts.open_browser("a") as browser:
                yield browser
        assert own_processes() == []

    return open_script


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare hosts stalled after a short time."""
    lose_patience(monkeypatch)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("sys.exit(0)", GONE),
        ("sys.exit('Traceback')", GONE),
        ("ready()\nfor _ in requests(): os.kill(os.getpid(), 9)", GONE),
        ("ready()\nfor _ in requests(): connection.shutdown(socket.SHUT_RDWR); time.sleep(99)", GONE),
        ("ready()\nfor _ in requests(): connection.send(b'\\0\\0'); sys.exit()", GONE),
    ],
    ids=[
        "exits",
        "fails",
        "dies-in-request",
        "hangs-up-in-request",
        "dies-in-frame",
    ],
)
async def test_broken_host_is_lost(open_host: OpenHost, body: str, why: str) -> None:
    """However a host misbehaves, everybody gets `BrowserLost` with the reason at once."""
    async with open_host(body) as browser:
        with trio.fail_after(patience(10)):
            await assert_lost(browser, why)


async def test_dead_host_whose_child_holds_the_socket_is_lost(open_host: OpenHost) -> None:
    """The death of the host itself counts, not only the end of the connection."""
    async with open_host("ready()\nif os.fork(): sys.exit()\ntime.sleep(99)", sandbox="none") as browser:
        with trio.fail_after(patience(10)):
            await assert_lost(browser, "process died")


@pytest.mark.usefixtures("impatient")
async def test_host_that_stops_reading_is_lost(open_host: OpenHost) -> None:
    """A request that the host doesn't take fails, whether it was cancelled or not."""
    async with open_host("ready(); time.sleep(99)") as browser:
        with trio.fail_after(patience(10)), pytest.raises(BrowserLost) as caught:
            await browser.navigate(URL + "x" * 900_000)
        assert "stopped reading" in str(caught.value.detail)


REPLIES: Mapping[str, str] = {
    "Unreachable": "tell('Unreachable', id=request.id, detail='NS_ERROR_NET_RESET')",
    "Failed": "tell('Failed', id=request.id, detail='via http://u:p@h ' + 'x' * 9999)",
    "Found": (
        "tell('Found', id=request.id, finding={'method': 'dom_element_detection', 'viewer': 'maker',"
        " 'elapsed_ms': 1.5, 'evidence': [{'rule': 'told to', 'place': 'test', 'points_to': 'LOGGED_IN',"
        " 'strength': 4, 'reason': 'viewer_object'}]})"
    ),
}


async def test_unreachable_page_is_upstream_unreachable(open_host: OpenHost) -> None:
    """A page that can't be loaded is not the browser's fault, whether on the first load or on a refresh."""
    async with open_host(f"ready()\nfor request in requests(): {REPLIES['Unreachable']}") as browser:
        with pytest.raises(UpstreamUnreachable, match="NS_ERROR_NET_RESET"):
            await browser.navigate(URL)
        with pytest.raises(UpstreamUnreachable, match="NS_ERROR_NET_RESET"):
            await browser.refresh()


async def test_failed_request_is_its_methods_error_with_a_redacted_detail(open_host: OpenHost) -> None:
    """The host's error message goes only to the log, redacted and shortened."""
    async with open_host(f"ready()\nfor request in requests(): {REPLIES['Failed']}") as browser:
        with pytest.raises(EngineUnavailable) as not_launched:
            await browser.launch(Path("/profile"), headless=True)
        with pytest.raises(BrowserLost) as not_loaded:
            await browser.navigate(URL)
        with pytest.raises(BrowserLost) as not_seen:
            await browser.inspect(Method.HTML, {})
        await browser.close()
    for caught in (not_launched, not_loaded, not_seen):
        assert "xxx" not in str(caught.value)
        assert str(caught.value.detail).startswith("via http://***@h xxx")
        assert len(str(caught.value.detail)) <= 2000


async def test_finding_arrives_as_it_was_made(open_host: OpenHost) -> None:
    """The evidence passes through unchanged. A reply of another kind is not evidence."""
    async with open_host(f"ready()\nfor request in requests(): {REPLIES['Found']}") as browser:
        finding = await browser.inspect(Method.DOM, {"logged_in": "#me"})
    assert finding == attrs.evolve(
        find_state(Method.DOM, LoginState.LOGGED_IN), viewer="maker", elapsed_ms=1.5
    )
    async with open_host("ready()\nfor request in requests(): done(request)") as browser:
        with pytest.raises(BrowserLost, match="does not show its page"):
            await browser.inspect(Method.DOM, {})


NOISY = """
ready()
print("hello")
print("Proxy-Authorization: Basic cHJveHl1c2Vy", file=sys.stderr)
print("proxy http://proxyuser:proxyuser-hunter2@127.0.0.1:9 is used")
print("it is proxyuser-hunter2, twice: proxyuser-hunter2")
sys.stdout.flush()
cookie = "Cookie: " + "a" * 3000
for piece in (cookie, "b" * 5000 + "sec", "ret=c" * 9, "\\n"):
    print(piece, end="", flush=True)
    time.sleep(0.05)
print("Cookie: " + "d" * 20000, flush=True)
os.write(1, b"\\xff\\n\\n")
print("last words: proxyuser-hunter2", end="", flush=True)
connection.recv(1)
"""


async def test_output_is_logged_at_debug_and_redacted(open_host: OpenHost) -> None:
    """Passwords and cookies never reach the log, however the output is cut up."""
    with structlog.testing.capture_logs() as logs:
        async with open_host(NOISY, PROXY) as browser:
            with pytest.raises(BrowserLost):
                await browser.wait_lost()
            await trio.sleep(0.1)
    lines = [entry["line"] for entry in logs if entry["event"] == "host output"]
    assert {(entry["log_level"], entry["host"][:5]) for entry in logs} == {("debug", "host-")}
    assert "hello" in lines
    assert "Proxy-Authorization:***" in lines
    assert "proxy http://***@127.0.0.1:9 is used" in lines
    assert "it is ***, twice: ***" in lines
    assert "last words: ***" in lines
    assert "�" in lines
    text = "\n".join(lines)
    for secret in ("hunter2", "cHJveHl1c2Vy", "aaa", "bbb", "ret=c", "ddd"):
        assert secret not in text


def who_shows(secret: str) -> list[str]:
    """Return all processes of the machine that have `secret` in their arguments or environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if secret in str(process.cmdline()) or secret in str(process.environ()):
                found.append(process.name())
    return found


async def test_proxy_credentials_are_in_no_argument_list_nor_environment(open_host: OpenHost) -> None:
    """The host gets the credentials over its socket, which nobody else can read."""
    body = """
ready()
for request in requests():
    if (request.proxy["username"], request.proxy["password"]) == ("proxyuser", "proxyuser-hunter2"):
        done(request)
"""
    async with open_host(body, PROXY) as browser:
        await browser.launch(Path("/profile"), headless=True)
        assert own_processes() != []
        assert who_shows(PROXY.password) == []
        assert who_shows(PROXY.username) == []


async def test_real_host_whose_browser_does_not_start_is_engine_unavailable(tmp_path: Path) -> None:
    """A browser that exits at once is not mistaken for a lost host."""
    engine = Engine(name=EngineName.FIREFOX, executable=Path("/bin/true"), version="1")
    hosts = BrowserHosts(engine=engine, sandbox=choose_sandbox(SandboxChoice.AUTO))
    with trio.fail_after(patience(20)):
        async with hosts.open_browser("a") as browser:
            with pytest.raises(EngineUnavailable) as caught:
                await browser.launch(tmp_path / "profile", headless=True)
    assert "Failed to launch" in str(caught.value.detail)


async def test_missing_host_program_is_lost_or_refused(tmp_path: Path) -> None:
    """A broken installation is noticed at once, at the latest by the first request."""
    hosts = BrowserHosts(
        engine=ENGINE, sandbox=choose_sandbox(SandboxChoice.AUTO), host_command=(str(tmp_path / "missing"),)
    )
    with (
        trio.fail_after(patience(5)),
        pytest.RaisesGroup(BrowserLost, allow_unwrapped=True, flatten_subgroups=True),
    ):
        async with hosts.open_browser("a") as browser:
            await browser.navigate(URL)
