"""The daemon's side of a browser host, against hosts that misbehave: real processes with small scripts."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
import psutil
import pytest
import structlog.testing
import trio

from actors.browser import (
    BrowserHosts,
    Engine,
    EngineName,
    Proxy,
    ScraplingFetcherAdapter,
    choose_sandbox,
    end_marked,
    find_engine,
    link,
    own_processes,
)
from actors.browser.wire.framing import FrameError
from actors.errors import BrowserLost, EngineUnavailable, UpstreamUnreachable
from actors.ledger import open_ledger
from actors.resources import Needs
from actors.testing import find_state
from actors.verdict import LoginState, Method
from tests.actors.scripted_hosts import ENGINE, GONE, PRELUDE, URL, assert_lost, lose_patience, script_hosts
from tests.cancelling import cancelled_at_step

PROXY = Proxy(server="http://127.0.0.1:9", username="proxyuser", password="proxyuser-hunter2")

OpenHost = Callable[..., AbstractAsyncContextManager[ScraplingFetcherAdapter]]


@pytest.fixture
def open_host(tmp_path: Path) -> OpenHost:
    """Return a function that opens a host which runs a script."""

    @contextlib.asynccontextmanager
    async def open_script(
        body: str, proxy: Proxy | None = None, sandbox: str = "auto"
    ) -> AsyncIterator[ScraplingFetcherAdapter]:
        hosts = script_hosts(tmp_path, PRELUDE + body, sandbox=sandbox, proxy=proxy)
        with trio.fail_after(20):
            async with hosts.open_browser("a") as browser:
                yield browser
        assert own_processes() == []

    return open_script


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a host for stalled after a short time."""
    lose_patience(monkeypatch)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("connection.sendall(b'HTTP/1.1 400 Bad Request'); time.sleep(99)", "bytes is announced"),
        ("connection.sendall(b'\\x00\\x00\\x00\\x02no'); time.sleep(99)", "not a message from a host"),
        ("ready(); tell('Ping', id=1); time.sleep(99)", "not a message from a host.*Ping"),
        ("ready(); connection.sendall(b'\\xff' * 4); time.sleep(99)", "4294967295 bytes is announced"),
        ("tell('Ready', version=99); time.sleep(99)", "speaks protocol 99, not 3"),
        ("ready(); tell('Lost', detail='crashed'); time.sleep(99)", "^crashed$"),
        ("ready(); tell('Lost', session='b', detail='crashed'); time.sleep(99)", "session 'b'.* not its own"),
        ("ready(); tell('Lost', session='', detail='crashed'); time.sleep(99)", "^crashed$"),
        ("ready()\nfor r in messages(): tell('Done', id=r.id, session='b')", "session 'b'.* not its own"),
        ("ready(); tell('Done', id=99, session='b'); time.sleep(99)", "session 'b'.* not its own"),
        ("sys.exit(0)", GONE),
        ("sys.exit('Traceback')", GONE),
        ("ready()\nfor _ in requests(): os.kill(os.getpid(), 9)", GONE),
        ("ready()\nfor _ in requests(): connection.shutdown(socket.SHUT_RDWR); time.sleep(99)", GONE),
        ("ready()\nfor _ in requests(): connection.send(b'\\0\\0'); sys.exit()", GONE),
    ],
    ids=[
        "garbage",
        "not-json",
        "wrong-direction",
        "giant",
        "other-version",
        "lost",
        "lost-another",
        "lost-nobody",
        "reply-of-another",
        "unasked-reply-of-another",
        "exits",
        "fails",
        "dies-in-request",
        "hangs-up-in-request",
        "dies-in-frame",
    ],
)
async def test_broken_host_is_lost(open_host: OpenHost, body: str, why: str) -> None:
    """Whatever a host does wrong ends as `BrowserLost` with the reason, at once and for everybody."""
    async with open_host(body) as browser:
        with trio.fail_after(10):
            await assert_lost(browser, why)


async def test_dead_host_whose_child_holds_the_socket_is_lost(open_host: OpenHost) -> None:
    """The host's own death counts, not the end of the conversation alone."""
    async with open_host("ready()\nif os.fork(): sys.exit()\ntime.sleep(99)", sandbox="none") as browser:
        with trio.fail_after(10):
            await assert_lost(browser, "process died")


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(99)",
        "ready(); time.sleep(99)",
        "ready()\nfor _, message in zip(range(3), messages()): done(message)\ntime.sleep(99)",
        "ready()\nfor message in messages():\n    if message.type != 'Ping': done(message)",
        "import signal; ready(); os.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["never-ready", "never-answers", "stops-answering", "no-heartbeat", "stopped"],
)
@pytest.mark.usefixtures("impatient")
async def test_stalled_host_is_lost(open_host: OpenHost, body: str) -> None:
    """A host that is there but does not answer is noticed without anybody asking."""
    async with open_host(body) as browser:
        with trio.fail_after(10), pytest.raises(BrowserLost) as caught:
            await browser.wait_lost()
        assert str(caught.value.detail).endswith(" did not answer for 0.5 seconds")
        with trio.fail_after(1):
            await assert_lost(browser, "did not answer")


@pytest.mark.usefixtures("impatient")
async def test_host_that_stops_reading_is_lost(open_host: OpenHost) -> None:
    """A request that does not get through is not waited for, with or without a cancellation."""
    async with open_host("ready(); time.sleep(99)") as browser:
        with trio.fail_after(10), pytest.raises(BrowserLost) as caught:
            await browser.navigate(URL + "x" * 900_000)
        assert "stopped reading" in str(caught.value.detail)


@pytest.mark.parametrize("url", ["http://example.org/\udcff", URL + "x" * (1 << 20)], ids=["bytes", "giant"])
async def test_request_that_no_frame_can_hold_fails_alone(open_host: OpenHost, url: str) -> None:
    """Bytes that are not UTF-8, from a path or the environment, cost their own request and nothing else."""
    async with open_host("ready()\nfor request in requests(): done(request)") as browser:
        with pytest.raises(FrameError, match="Navigate"):
            await browser.navigate(url)
        await browser.navigate(URL)


async def test_slow_start_of_requests_is_waited_for(open_host: OpenHost) -> None:
    """A request made before the host is ready is sent when it is."""
    async with open_host("time.sleep(0.2); ready()\nfor request in requests(): done(request)") as browser:
        await browser.navigate(URL)


async def test_host_that_answers_lives_on(open_host: OpenHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause between heartbeats is no part of the time in which one is to be answered."""
    monkeypatch.setattr(link, "_HEARTBEAT_S", 0.05)
    async with open_host("ready()\nfor request in requests(): done(request)") as browser:
        await browser.navigate(URL)
        monkeypatch.setattr(link, "_STALLED_S", 0.5)
        monkeypatch.setattr(link, "_HEARTBEAT_S", 0.8)
        with trio.move_on_after(1.2) as patience:
            await browser.wait_lost()
        assert patience.cancelled_caught
        await browser.navigate(URL)


async def test_heartbeats_leave_the_host_in_peace(open_host: OpenHost) -> None:
    """One that is answered is followed by a pause."""
    body = """
ready()
pings = 0
for message in messages():
    pings += message.type == "Ping" and message.session == ""
    if message.type == "Navigate":
        tell("Unreachable", id=message.id, detail=str(pings))
    else:
        done(message)
"""
    async with open_host(body) as browser:
        with pytest.raises(UpstreamUnreachable):
            await browser.refresh()
        await trio.sleep(0.2)
        with pytest.raises(UpstreamUnreachable, match=r": 1$"):
            await browser.refresh()


@pytest.mark.parametrize(
    "answer",
    [
        "connection.sendall(9 * frame('Done', id=request.id))",
        "done(request); tell('Failed', id=request.id, detail='x')",
        "tell('Done', id=request.id + 1000); done(request)",
        "tell('Done', id=-1); done(request)",
        "ready(); done(request)",
    ],
    ids=["often", "twice-differently", "unknown-id", "negative-id", "ready-again"],
)
async def test_reply_that_nobody_waits_for_is_ignored(open_host: OpenHost, answer: str) -> None:
    """A reply more does no harm to its own request or to the next."""
    async with open_host(f"ready()\nfor request in requests(): {answer}") as browser:
        for _ in range(3):
            await browser.navigate(URL)


async def test_replies_in_another_order_find_their_requests(open_host: OpenHost) -> None:
    """Requests under way at once are told apart by their ids, not by their order."""
    body = """
ready()
first, second, third = [request for _, request in zip(range(3), requests())]
for request in (third, first, second):
    tell('Unreachable', id=request.id, detail=request.url)
for _ in requests(): pass
"""
    answers: dict[str, str] = {}

    async def load(url: str) -> None:
        with pytest.raises(UpstreamUnreachable) as caught:
            await browser.navigate(url)
        answers[url] = str(caught.value)

    async with open_host(body) as browser, trio.open_nursery() as nursery:
        for url in ("one", "two", "three"):
            nursery.start_soon(load, url)
    assert answers == {url: f"TikTok could not be reached: {url}" for url in ("one", "two", "three")}


ANSWERS_AND_REMEMBERS = """
ready()
hanging, given_up = None, None
for message in requests():
    if message.type == 'Cancel':
        given_up = message.id
        tell('Failed', id=message.id, detail="given up")
    elif message.url == "hang":
        hanging = message.id
    elif message.url == "report":
        same = hanging is not None and given_up == hanging
        tell('Unreachable', id=message.id, detail=f"told: {same}")
    else:
        done(message)
"""


async def test_cancelled_request_is_given_up_and_the_link_stays_usable(open_host: OpenHost) -> None:
    """The host learns which request nobody waits for any more; its late reply harms no other."""
    async with open_host(ANSWERS_AND_REMEMBERS) as browser:
        await browser.navigate(URL)
        with trio.move_on_after(0.1) as patience:
            await browser.navigate("hang")
        assert patience.cancelled_caught
        with pytest.raises(UpstreamUnreachable, match="told: True"):
            await browser.navigate("report")


async def test_request_cancelled_while_it_is_sent_leaves_the_link_usable(open_host: OpenHost) -> None:
    """A frame once begun is sent to its end, within bounds: half of one would be the end of the link."""
    body = "ready(); time.sleep(0.3)\nfor request in requests(): request.type == 'Cancel' or done(request)"
    async with open_host(body) as browser:
        with trio.move_on_after(0.15) as patience:
            await browser.navigate(URL + "x" * 900_000)
        assert patience.cancelled_caught
        await browser.navigate(URL)


async def test_request_cancelled_at_any_checkpoint_leaves_the_link_usable(open_host: OpenHost) -> None:
    """A deadline that falls into the middle of sending does not cost the host."""
    async with open_host(ANSWERS_AND_REMEMBERS) as browser:
        for step in range(1, 9):
            with cancelled_at_step(step):
                await browser.navigate(URL)
            await browser.navigate(URL)


async def test_lost_host_wakes_every_request(open_host: OpenHost) -> None:
    """Requests under way at the same time all learn of the loss."""
    errors: list[BrowserLost] = []

    async def load() -> None:
        with pytest.raises(BrowserLost) as caught:
            await browser.navigate(URL)
        errors.append(caught.value)

    body = "ready()\nlist(zip(range(3), requests()))\nsys.exit()"
    async with open_host(body) as browser, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(load)
    assert len(errors) == 3


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
    """A page that can't be loaded is not the browser's fault, on the first load and on a refresh."""
    async with open_host(f"ready()\nfor request in requests(): {REPLIES['Unreachable']}") as browser:
        with pytest.raises(UpstreamUnreachable, match="NS_ERROR_NET_RESET"):
            await browser.navigate(URL)
        with pytest.raises(UpstreamUnreachable, match="NS_ERROR_NET_RESET"):
            await browser.refresh()


async def test_failed_request_is_its_methods_error_with_a_redacted_detail(open_host: OpenHost) -> None:
    """What a host says of a failure goes to the log alone, without secrets and not at any length."""
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
    """The evidence passes through unchanged; a reply of another kind is no evidence."""
    async with open_host(f"ready()\nfor request in requests(): {REPLIES['Found']}") as browser:
        finding = await browser.inspect(Method.DOM, {"logged_in": "#me"})
    assert finding == attrs.evolve(
        find_state(Method.DOM, LoginState.LOGGED_IN), viewer="maker", elapsed_ms=1.5
    )
    async with open_host("ready()\nfor request in requests(): done(request)") as browser:
        with pytest.raises(BrowserLost, match="does not show its page"):
            await browser.inspect(Method.DOM, {})


async def test_giant_detail_is_cut(open_host: OpenHost) -> None:
    """A host can't fill the log with the reason for its own end."""
    async with open_host("tell('Lost', detail='x' * 1_000_000); time.sleep(99)") as browser:
        with pytest.raises(BrowserLost) as caught:
            await browser.wait_lost()
    assert caught.value.detail == "x" * 2000


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
    """Passwords and cookies never reach the log, however the output is cut into pieces."""
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
    """Return the processes, of the whole machine, that have `secret` in their arguments or environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if secret in str(process.cmdline()) or secret in str(process.environ()):
                found.append(process.name())
    return found


async def test_proxy_credentials_are_in_no_argument_list_nor_environment(open_host: OpenHost) -> None:
    """The host learns the credentials over its socket, which nobody else can read."""
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


@pytest.mark.browser
async def test_real_browser_behind_a_proxy_shows_no_credentials(tmp_path: Path) -> None:
    """Neither Playwright's driver nor Firefox gets the credentials as an argument or in its environment."""
    hosts = BrowserHosts(engine=find_engine("firefox"), sandbox=choose_sandbox("auto"), proxy=PROXY)
    with trio.fail_after(40):
        async with hosts.open_browser("a") as browser:
            await browser.launch(tmp_path / "profile", headless=True)
            assert who_shows(PROXY.password) == []
            with pytest.raises(UpstreamUnreachable, match="NS_ERROR_PROXY"):
                await browser.navigate("http://example.org/")
            assert who_shows(PROXY.password) == []
    assert own_processes() == []


async def test_real_host_whose_browser_does_not_start_is_engine_unavailable(tmp_path: Path) -> None:
    """A browser that ends at once is told from a lost host."""
    engine = Engine(name=EngineName.FIREFOX, executable=Path("/bin/true"), version="1")
    hosts = BrowserHosts(engine=engine, sandbox=choose_sandbox("auto"))
    with trio.fail_after(20):
        async with hosts.open_browser("a") as browser:
            with pytest.raises(EngineUnavailable) as caught:
                await browser.launch(tmp_path / "profile", headless=True)
    assert "Failed to launch" in str(caught.value.detail)


async def test_host_that_is_not_there_is_lost_or_refused(tmp_path: Path) -> None:
    """A broken installation is noticed at once, by the first request at the latest."""
    hosts = BrowserHosts(
        engine=ENGINE, sandbox=choose_sandbox("auto"), host_command=(str(tmp_path / "missing"),)
    )
    with trio.fail_after(5), pytest.RaisesGroup(BrowserLost, allow_unwrapped=True, flatten_subgroups=True):
        async with hosts.open_browser("a") as browser:
            await browser.navigate(URL)


async def test_promise_is_kept_once_the_browser_runs(tmp_path: Path) -> None:
    """What a session was promised counts as taken with its launch, not with an attempt at one."""
    script = (
        f"{PRELUDE}ready()\nlaunches = requests()\nrequest = next(launches)\n{REPLIES['Failed']}\n"
        "done(next(launches))\nlist(launches)"
    )
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        hosts = script_hosts(tmp_path, script, sandbox="none", ledger=ledger)
        with ledger.promises.promise("a", Needs()), trio.fail_after(10):
            async with hosts.open_browser("a") as browser:
                with pytest.raises(EngineUnavailable):
                    await browser.launch(tmp_path, headless=True)
                assert ledger.promises.outstanding.memory_bytes == Needs().memory_bytes
                await browser.launch(tmp_path, headless=True)
                assert ledger.promises.outstanding.memory_bytes == 0
