"""What a page of another site can do to the daemon from a real browser on the same machine: nothing."""

import contextlib
import http.server
import queue
import threading
from collections.abc import Iterator

import attrs
import pytest
import trio
from playwright.sync_api import Browser, Page

from greenroom import Supervisor
from greenroom.actors.testing import FakeMachine
from greenroom.web.commands.serve import open_daemon
from greenroom.web.settings import DaemonSettings
from tests.patience import patience

pytestmark = pytest.mark.browser

PAGE = b"<!doctype html><title>A page of another site</title><iframe name=away></iframe>"

# What a page can try. Each way says what the page learns: "opaque" is an answer that it can't see.
WAYS = """async ([daemon, id, names]) => {
    const session = `${daemon}/tiktok/session/${id}`;
    const socket = session.replace("http", "ws");
    const plain = {method: "POST", mode: "no-cors"};
    const json = {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}};
    const tell = promise => promise.then(answer => answer.type, () => "refused");
    const open = it => new Promise(resolve => {
        it.onopen = it.onload = () => resolve("open");
        it.onerror = () => resolve("refused");
    });
    const submit = () => new Promise(resolve => {
        const form = document.createElement("form");
        const to = {method: "post", action: `${daemon}/tiktok/session`, target: "away"};
        document.body.append(Object.assign(form, to, {enctype: "text/plain"}));
        document.querySelector("iframe").onload = () => resolve("sent");
        form.submit();
    });
    const ways = {
        form: submit,
        create: () => tell(fetch(`${daemon}/tiktok/session`, {...plain, body: "{}"})),
        browse: () => tell(fetch(`${daemon}/browse`, {...plain, body: "{}"})),
        act: () => tell(fetch(`${session}/actions`, {...plain, body: '{"kind": "reload"}'})),
        json: () => tell(fetch(`${session}/actions`, {...json, body: '{"kind": "reload"}'})),
        read: () => tell(fetch(session)),
        watch: () => open(new WebSocket(`${socket}/watch`)),
        playwright: () => open(new WebSocket(`${socket}/playwright`)),
        events: () => open(new EventSource(`${daemon}/events`)),
        picture: () => open(Object.assign(new Image(), {src: `${session}/live.jpg`})),
        end: () => tell(fetch(session, {method: "DELETE"})),
    };
    const told = {};
    for (const name of names) told[name] = await ways[name]();
    return told;
}"""
SENT_UNSEEN = dict.fromkeys(("create", "browse", "act"), "opaque")
REFUSED = dict.fromkeys(("json", "read", "watch", "playwright", "events", "picture", "end"), "refused")


@attrs.frozen
class House:
    """A daemon with one session, on the loopback address, without a token."""

    url: str
    session_id: str
    supervisor: Supervisor
    ask: trio.lowlevel.TrioToken

    def state(self) -> tuple[int, str, int, int]:
        """Return how many sessions there are, and the state, clients and watchers of the one."""

        async def look() -> tuple[int, str, int, int]:
            info = await self.supervisor.get_session(self.session_id)
            count = len(await self.supervisor.list_sessions())
            return count, info.state.value, info.clients, len(info.watchers) + len(info.watched)

        return trio.from_thread.run(look, trio_token=self.ask)


@pytest.fixture
def house() -> Iterator[House]:
    ready: queue.Queue[House] = queue.Queue()
    over = threading.Event()

    async def run() -> None:
        settings = DaemonSettings(bind="127.0.0.1:0", warm_sessions=0)
        async with open_daemon(settings, machine=FakeMachine()) as daemon:
            info = await daemon.supervisor.create_session()
            ready.put(House(daemon.url, info.id, daemon.supervisor, trio.lowlevel.current_trio_token()))
            await trio.to_thread.run_sync(over.wait)

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        yield ready.get(timeout=patience(60))
    finally:
        over.set()
        thread.join()


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another site. A browser resolves each name below localhost to this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://another.localhost:{server.server_port}"
        server.shutdown()


@pytest.fixture
def guest(chromium: Browser) -> Iterator[Page]:
    with contextlib.closing(chromium.new_context()) as context:
        page = context.new_page()
        page.set_default_timeout(patience(20_000))
        yield page


def test_page_of_another_site_changes_and_sees_nothing(house: House, elsewhere: str, guest: Page) -> None:
    """By a form, by text/plain, by JSON, by WebSockets, by a picture or a stream of events."""
    guest.goto(elsewhere)
    expected = {"form": "sent", **SENT_UNSEEN, **REFUSED}
    assert guest.evaluate(WAYS, [house.url, house.session_id, [*expected]]) == expected
    assert house.state() == (1, "live", 0, 0)


def test_page_whose_name_leads_to_the_daemon_is_refused(house: House, guest: Page) -> None:
    """DNS rebinding: the browser takes the daemon for the page's own site, but says that site's name."""
    rebound = house.url.replace("127.0.0.1", "rebound.localhost")
    answer = guest.goto(rebound)
    assert answer is not None
    assert (answer.status, answer.json()["error_details"]["code"]) == (403, "HOST_NOT_ALLOWED")
    guest.set_content(PAGE.decode())
    # It is of the same origin, so it sees the answers. They are refusals.
    expected = {"form": "sent", **dict.fromkeys((*SENT_UNSEEN, *REFUSED), "basic")}
    expected |= dict.fromkeys(("watch", "playwright", "events", "picture"), "refused")
    assert guest.evaluate(WAYS, [rebound, house.session_id, [*expected]]) == expected
    assert house.state() == (1, "live", 0, 0)


def test_page_of_the_daemon_itself_does_all_this(house: House, guest: Page) -> None:
    """So the ways work where nobody stops them."""
    guest.goto(house.url)
    expected = {"create": "basic", "read": "basic", "watch": "open", "events": "open", "end": "basic"}
    assert guest.evaluate(WAYS, [house.url, house.session_id, [*expected]]) == expected
    assert house.state()[1] == "ended"
