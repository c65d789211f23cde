"""The practice site over real HTTP, and the server that runs it."""

import errno
import html
import html.parser
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from hypercorn.utils import LifespanFailureError
from quart_trio import QuartTrio

import greenroom.web.practice.app as practice_app_module
from greenroom.web.http.listening import BindFailed
from greenroom.web.http.serving import open_server, reset_connections
from greenroom.web.practice import create_practice_app, open_practice_site
from greenroom.web.practice.pages import INVENTED_VIEWER, Page, State, Viewer, all_pages, render
from tests.patience import patience
from tests.web.http.front import NO_CERTIFICATES

HOME_PAGES = ["/", "/slow?seconds=0", "/endless-image", "/heavy"]
PAGES_OF_NOBODY = ["/captcha", "/uncertain", "/api-only", "/error"]
ACCOUNT = "/passport/web/account/info/"
CONTEXT = "/node-webapp/api/common-app-context"
HOSTILE_NAME = "<script>alert(1)</script>\"'&"
AT_ONCE_S = patience(0.5)  # the site never takes longer to end
PATIENCE_S = patience(10)


class _Marks(html.parser.HTMLParser):
    """Counts a page's elements by their data-e2e mark, and keeps what they would load or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.by_mark: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.sources: list[str] = []
        self.classes: set[str] = set()
        self.values: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.classes.update(found.get("class", "").split())
        if "data-e2e" in found:
            self.by_mark[found["data-e2e"]] += 1
        if tag != "a":
            self.sources += [found[name] for name in ("src", "href", "action") if name in found]
        if "name" in found:
            self.values[found["name"]] = found.get("value", "")


def viewer_on(page: str) -> str | None:
    """Return the name of the page's viewer, or None if it offers to log in instead."""
    marks = _Marks(page).by_mark
    assert marks["profile-icon"] + marks["top-login-button"] == 1
    shown = re.search('data-e2e="viewer-name">([^<]*)<', page)
    assert (shown is not None) == bool(marks["profile-icon"])
    return html.unescape(shown[1]) if shown else None


def host_and_port(url: str) -> tuple[str, int]:
    """Return the host and port to connect to for a URL."""
    parsed = httpx.URL(url)
    assert parsed.port is not None
    return parsed.host, parsed.port


async def log_in(client: httpx.AsyncClient, name: str) -> httpx.Response:
    """Send the login form."""
    return await client.post("/login", data={"username": name, "password": "any"})


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """Serve a practice site; yield its base URL."""
    async with open_practice_site() as base_url:
        yield base_url


@pytest.fixture
async def client(site: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client for the site with its own cookies."""
    async with httpx.AsyncClient(base_url=site, timeout=PATIENCE_S, verify=NO_CERTIFICATES) as client:
        yield client


# Home, logging in and out


@pytest.mark.parametrize("path", HOME_PAGES)
async def test_nobody_logged_in_home_pages_offer_to_log_in(client: httpx.AsyncClient, path: str) -> None:
    """Without a cookie, each form of the home page is the universal era's logged-out home."""
    page = (await client.get(path)).text
    assert viewer_on(page) is None
    assert 'content="login=0,' in page


@pytest.mark.parametrize("path", HOME_PAGES)
async def test_logged_in_home_pages_show_their_viewer(client: httpx.AsyncClient, path: str) -> None:
    """With a valid cookie, each form of the home page shows its viewer, in its elements and its data."""
    await log_in(client, "ada")
    page = (await client.get(path)).text
    assert viewer_on(page) == "ada"
    assert f'"user":{{"uid":"{Viewer.named("ada").uid}","uniqueId":"ada"' in page
    assert _Marks(page).by_mark["inbox-icon"] == 1


async def test_home_is_the_faithful_page(client: httpx.AsyncClient) -> None:
    """The site's home is one of the faithful pages."""
    home = Page.parse("logged_out", "universal", "home")
    assert (await client.get("/")).text == render(home)
    await log_in(client, "ada")
    seen = Page.parse("logged_in", "universal", "home")
    assert (await client.get("/")).text == render(seen, Viewer.named("ada"))


async def test_login_form_posted_sets_a_lasting_cookie_and_goes_home(client: httpx.AsyncClient) -> None:
    """The cookie survives a browser's restart, can't be read by scripts, and stays on this site."""
    answer = await log_in(client, "ada")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    name_and_value, *attributes = answer.headers["set-cookie"].split("; ")
    assert name_and_value.startswith("sessionid=")
    assert {"Max-Age=2592000", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)


async def test_token_never_issued_is_logged_out(client: httpx.AsyncClient) -> None:
    """A cookie that the site did not issue is worthless."""
    page = (await client.get("/", headers={"Cookie": "sessionid=made-up"})).text
    assert viewer_on(page) is None


async def test_token_of_another_site_is_logged_out(client: httpx.AsyncClient) -> None:
    """Two practice sites have separate viewers."""
    await log_in(client, "ada")
    async with open_practice_site() as other:
        page = (await client.get(f"{other}/")).text
    assert viewer_on(page) is None


async def test_two_viewers_each_see_their_own_name(site: str) -> None:
    """Separate cookies give separate pages."""
    async with httpx.AsyncClient(base_url=site) as ada, httpx.AsyncClient(base_url=site) as bob:
        await log_in(ada, "ada")
        await log_in(bob, "bob")
        pages = (await ada.get("/")).text, (await bob.get("/")).text
    assert [viewer_on(page) for page in pages] == ["ada", "bob"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_logout_forgets_the_token_and_clears_the_cookie(client: httpx.AsyncClient, method: str) -> None:
    """After a logout, even a copy of the cookie is no longer logged in."""
    await log_in(client, "ada")
    copy = client.cookies["sessionid"]
    answer = await client.request(method, "/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "sessionid" not in client.cookies
    page = (await client.get("/", headers={"Cookie": f"sessionid={copy}"})).text
    assert viewer_on(page) is None


async def test_logout_of_nobody_goes_home(client: httpx.AsyncClient) -> None:
    """Logging out twice, or without a login, is not an error."""
    assert (await client.get("/logout")).status_code == 303


async def test_login_page_is_a_form_that_does_not_submit_itself(client: httpx.AsyncClient) -> None:
    """Without a name the form is empty and has no script."""
    marks = _Marks((await client.get("/login")).text)
    assert marks.values["username"] == marks.values["password"] == ""
    assert marks.tags["script"] == 0


async def test_login_page_for_a_name_submits_itself(client: httpx.AsyncClient) -> None:
    """With a name the form is filled in and has a script that submits it."""
    page = (await client.get("/login", params={"as": "ada"})).text
    marks = _Marks(page)
    assert marks.values["username"] == "ada"
    assert marks.values["password"]
    assert "requestSubmit()" in page


async def test_hostile_name_is_escaped_everywhere(client: httpx.AsyncClient) -> None:
    """A name with markup is shown as text, in the form and on the home page."""
    form = (await client.get("/login", params={"as": HOSTILE_NAME})).text
    await log_in(client, HOSTILE_NAME)
    home = (await client.get("/")).text
    assert _Marks(form).values["username"] == HOSTILE_NAME
    assert _Marks(form).tags["script"] == 1
    assert _Marks(home).tags["script"] == 1  # the data
    assert viewer_on(home) == HOSTILE_NAME
    assert "<script>alert" not in form + home


@pytest.mark.parametrize("name", ["", "   "])
async def test_empty_name_logs_in_as_someone(client: httpx.AsyncClient, name: str) -> None:
    """Any values are accepted, even none."""
    await log_in(client, name)
    assert viewer_on((await client.get("/")).text) == "someone"


# Other pages


async def test_health_answers_ok(client: httpx.AsyncClient) -> None:
    """The health page is plain text."""
    answer = await client.get("/health")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_practice_page_lists_every_route(client: httpx.AsyncClient) -> None:
    """It shows humans everything that the app serves."""
    page = (await client.get("/practice")).text
    for rule in create_practice_app().url_map.iter_rules():
        assert f"<code>{rule.rule}" in page


async def test_module_documentation_names_every_route() -> None:
    """The table in the module's docstring is complete."""
    documentation = practice_app_module.__doc__ or ""
    for rule in create_practice_app().url_map.iter_rules():
        assert f"| `{rule.rule}" in documentation


@pytest.mark.parametrize(
    "path",
    [*HOME_PAGES, *PAGES_OF_NOBODY, "/login", "/practice", "/page", "/slow?seconds=x", "/no-such-page"],
)
async def test_html_is_utf8_and_never_stored(client: httpx.AsyncClient, path: str) -> None:
    """Every page names its encoding, stays out of caches, and loads nothing from elsewhere."""
    answer = await client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    for source in _Marks(answer.text).sources:
        assert source.startswith(("/", "#", "data:"))
        assert not source.startswith("//")


# The faithful pages, and the endpoints


async def get_by_script_of(client: httpx.AsyncClient, page: str, path: str) -> httpx.Response:
    """Send a request as a script on that page would."""
    return await client.get(path, headers={"Referer": str(client.base_url.join(page))})


async def test_every_page_of_the_gallery_is_served(client: httpx.AsyncClient) -> None:
    """Each page's address serves that page, and humans find it in the list."""
    listed = html.unescape((await client.get("/practice")).text)
    for page in all_pages():
        answer = await client.get(f"/page?{page.query}")
        assert answer.status_code == 200
        assert answer.text == render(page)
        assert f'href="/page?{page.query}"' in listed


async def test_gallery_page_is_rendered_by_default(client: httpx.AsyncClient) -> None:
    """`rendered` may be left out."""
    page = Page.parse("logged_in", "next", "home")
    assert (await client.get("/page?state=logged_in&era=next&kind=home")).text == render(page)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "state must be one of"),
        ("state=logged_in&era=sigi&kind=studio", "kind studio does not exist in the era sigi"),
        ("state=logged_in&era=sigi&kind=home&rendered=perhaps", "rendered must be one of"),
    ],
    ids=["nothing", "no such combination", "no such word"],
)
async def test_gallery_refuses_unknown_pages(client: httpx.AsyncClient, query: str, why: str) -> None:
    """The answer says why there is no such page."""
    answer = await client.get(f"/page?{query}")
    assert answer.status_code == 400
    assert why in answer.text


async def test_captcha_sdk_is_a_script(client: httpx.AsyncClient) -> None:
    """The script that the shop's captcha loads is on this site."""
    shop = (await client.get("/page?state=challenge&era=universal&kind=shop_captcha")).text
    [source] = [source for source in _Marks(shop).sources if "captcha" in source]
    answer = await client.get(source)
    assert answer.headers["content-type"].startswith("text/javascript")


async def test_endpoints_of_nobody_name_nobody(client: httpx.AsyncClient) -> None:
    """One says that the session has expired, with status 200 like the real site. The other has no user."""
    account = await client.get(ACCOUNT)
    assert (account.status_code, account.headers["content-type"]) == (200, "application/json")
    assert account.json()["message"] == "error"
    assert account.json()["data"]["name"] == "session_expired"
    assert account.json()["data"]["error_code"] == 1
    context = await client.get(CONTEXT)
    assert (context.status_code, context.headers["content-type"]) == (200, "application/json")
    assert "user" not in context.json()
    assert context.json()["csrfToken"]


@pytest.mark.parametrize("page", ["/", "/api-only"])
async def test_endpoints_name_the_viewer(client: httpx.AsyncClient, page: str) -> None:
    """Both answer for the cookie's viewer, whichever page asks."""
    await log_in(client, "ada")
    ada = Viewer.named("ada")
    account = (await get_by_script_of(client, page, ACCOUNT)).json()
    assert account["message"] == "success"
    assert account["data"]["user_id"] == int(ada.uid)
    assert (account["data"]["user_id_str"], account["data"]["username"]) == (ada.uid, "ada")
    context = (await get_by_script_of(client, page, CONTEXT)).json()
    assert (context["user"]["uid"], context["user"]["uniqueId"]) == (ada.uid, "ada")


@pytest.mark.parametrize("path", [ACCOUNT, CONTEXT])
async def test_answers_of_endpoints_are_never_stored(client: httpx.AsyncClient, path: str) -> None:
    """Their answers depend on the cookie."""
    assert (await client.get(path)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [ACCOUNT, CONTEXT])
@pytest.mark.parametrize(
    "page", ["/uncertain", "/captcha", "/page?state=challenge&era=universal&kind=tiny", "/page?state=made-up"]
)
async def test_endpoints_say_nothing_to_a_page_without_evidence(
    client: httpx.AsyncClient, page: str, path: str
) -> None:
    """A challenge guards them too, and an uncertain page stays uncertain by all means."""
    await log_in(client, "ada")
    answer = await get_by_script_of(client, page, path)
    assert answer.status_code == 403
    assert "ada" not in answer.text
    assert "expired" not in answer.text


@pytest.mark.parametrize("name", [None, "ada"], ids=["logged out", "logged in"])
async def test_endpoints_agree_with_a_page_of_the_gallery(
    client: httpx.AsyncClient, name: str | None
) -> None:
    """A request from a faithful page is answered for that page's viewer, not the cookie's."""
    if name is not None:
        await log_in(client, name)
    account = (await get_by_script_of(client, f"/page?{page_query(State.LOGGED_IN)}", ACCOUNT)).json()
    assert account["data"]["user_id_str"] == INVENTED_VIEWER.uid
    account = (await get_by_script_of(client, f"/page?{page_query(State.LOGGED_OUT)}", ACCOUNT)).json()
    assert account["message"] == "error"


def page_query(state: State) -> str:
    """Return the query of a page with that state."""
    return next(page.query for page in all_pages() if page.state is state)


# Misbehaving pages


async def test_slow_page_comes_after_its_seconds(client: httpx.AsyncClient) -> None:
    """The page is the home feed, but late."""
    started = trio.current_time()
    assert viewer_on((await client.get("/slow?seconds=0.3")).text) is None
    assert trio.current_time() - started >= 0.3


@pytest.mark.parametrize("seconds", ["-1", "61", "nan", "inf", "soon", ""])
async def test_slow_page_with_bad_seconds_is_refused(client: httpx.AsyncClient, seconds: str) -> None:
    """A request can't make the site wait longer than a minute, or for a text that is not a number."""
    assert (await client.get("/slow", params={"seconds": seconds})).status_code == 400


async def test_hanging_page_sends_no_headers(client: httpx.AsyncClient) -> None:
    """The request is accepted, but no answer comes. The site goes on when the client leaves."""
    with trio.move_on_after(0.3) as limit:
        await client.get("/hang")
    assert limit.cancelled_caught
    assert (await client.get("/health")).text == "ok"


async def test_hanging_page_handler_ends_when_the_client_leaves() -> None:
    """Nothing of a hanging request is left once its client is gone."""
    app = create_practice_app()
    taken, ended = trio.Event(), trio.Event()

    async def watched(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        taken.set()
        try:
            await app(scope, receive, send)
        finally:
            ended.set()

    async with open_server(watched, "127.0.0.1:0") as base_url:
        with trio.fail_after(PATIENCE_S):
            async with await trio.open_tcp_stream(*host_and_port(base_url)) as leaving:
                await leaving.send_all(b"GET /hang HTTP/1.1\r\nHost: practice\r\n\r\n")
                await taken.wait()
                await trio.sleep(0.1)
                assert not ended.is_set()
            await ended.wait()


async def test_reset_page_resets_the_connection(site: str, client: httpx.AsyncClient) -> None:
    """The client gets ECONNRESET and not a single byte. Other connections are unharmed."""
    await client.get("/health")
    async with await trio.open_tcp_stream(*host_and_port(site)) as connection:
        await connection.send_all(b"GET /reset HTTP/1.1\r\nHost: practice\r\n\r\n")
        with trio.fail_after(PATIENCE_S), pytest.raises(trio.BrokenResourceError) as caught:
            await connection.receive_some()
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    assert (await client.get("/health")).text == "ok"


async def test_reset_page_without_a_connection_is_not_implemented() -> None:
    """A test client has no connection to reset. The page says so instead of hanging."""
    with trio.fail_after(PATIENCE_S):
        answer = await create_practice_app().test_client().get("/reset")
    assert answer.status_code == 501


async def test_endless_image_page_shows_the_image(client: httpx.AsyncClient) -> None:
    """The page itself arrives whole. Only its image never finishes."""
    assert "/endless-image.png" in _Marks((await client.get("/endless-image")).text).sources
    assert "/endless-image.png" not in (await client.get("/")).text


async def test_endless_image_starts_and_never_finishes(client: httpx.AsyncClient) -> None:
    """The image's headers and first bytes come, then nothing."""
    received = b""
    with trio.move_on_after(0.3) as limit:
        async with client.stream("GET", "/endless-image.png") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "image/png"
            async for chunk in answer.aiter_raw():
                received += chunk
    assert limit.cancelled_caught
    assert received.startswith(b"\x89PNG\r\n\x1a\n")
    assert (await client.get("/health")).text == "ok"


@pytest.mark.parametrize(("query", "status"), [("", 500), ("?status=503", 503), ("?status=599", 599)])
async def test_error_page_has_the_wanted_status(client: httpx.AsyncClient, query: str, status: int) -> None:
    """Any server error is possible. The title names it."""
    answer = await client.get(f"/error{query}")
    assert answer.status_code == status
    assert f"<title>{status} " in answer.text


@pytest.mark.parametrize("status", ["200", "404", "600", "500.5", "nan", "x"])
async def test_error_page_with_another_status_is_refused(client: httpx.AsyncClient, status: str) -> None:
    """The error page only produces server errors."""
    assert (await client.get("/error", params={"status": status})).status_code == 400


@pytest.mark.parametrize("name", [None, "ada"], ids=["logged out", "logged in"])
@pytest.mark.parametrize("path", PAGES_OF_NOBODY)
async def test_page_without_evidence_is_the_same_for_everybody(
    client: httpx.AsyncClient, path: str, name: str | None
) -> None:
    """Pages that say nothing about their viewer don't offer a login either."""
    nobodys = (await client.get(path)).text
    if name is not None:
        await log_in(client, name)
    page = (await client.get(path)).text
    assert page == nobodys
    assert not _Marks(page).by_mark


async def test_captcha_page_looks_like_a_security_check(client: httpx.AsyncClient) -> None:
    """It has the marks by which a security check is recognized."""
    page = (await client.get("/captcha")).text
    assert "<title>Security Check</title>" in page
    assert "captcha-verify-container" in _Marks(page).classes


async def test_heavy_page_weighs_five_megabytes_in_long_lines(client: httpx.AsyncClient) -> None:
    """It is as heavy as promised, and minified."""
    page = (await client.get("/heavy")).text
    assert 5_000_000 <= len(page) < 5_200_000
    assert max(map(len, page.split("\n"))) > 900_000


# The server


async def test_leaving_with_open_requests_ends_at_once() -> None:
    """Neither a hanging request, nor an endless image, nor an idle connection delays the site's end."""
    async with open_practice_site() as base_url:
        target = host_and_port(base_url)
        connections = [await trio.open_tcp_stream(*target) for _ in range(3)]
        for connection, path in zip(connections, ("/hang", "/endless-image.png"), strict=False):
            await connection.send_all(f"GET {path} HTTP/1.1\r\nHost: practice\r\n\r\n".encode())
        await trio.sleep(0.1)
        leaving = trio.current_time()
    assert trio.current_time() - leaving < AT_ONCE_S
    for connection in connections:
        await connection.aclose()
    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream(*target)


async def open_stuck_reader(base_url: str) -> trio.SocketStream:
    """Ask for far more than the sockets buffer, and read nothing of it."""
    stuck = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await stuck.connect(host_and_port(base_url))
    stream = trio.SocketStream(stuck)
    await stream.send_all(b"GET /heavy HTTP/1.1\r\nHost: practice\r\n\r\n")
    await trio.sleep(0.5)
    return stream


async def test_leaving_with_a_client_that_does_not_read_ends_at_once() -> None:
    """A write that is stuck is cut off, although hypercorn shields it from cancellation."""
    async with open_practice_site() as base_url:
        stuck = await open_stuck_reader(base_url)
        leaving = trio.current_time()
    assert trio.current_time() - leaving < AT_ONCE_S
    await stuck.aclose()


async def test_cancellation_with_a_client_that_does_not_read_ends_at_once() -> None:
    """A cancellation from outside is as quick as leaving the block."""
    with trio.CancelScope() as scope:
        async with open_practice_site() as base_url:
            stuck = await open_stuck_reader(base_url)
            cancelled = trio.current_time()
            scope.cancel()
            await trio.sleep_forever()
    assert trio.current_time() - cancelled < AT_ONCE_S
    await stuck.aclose()


async def test_leaving_lets_requests_in_flight_finish_within_the_grace() -> None:
    """A request that ends in time gets its answer, and the site doesn't wait for the rest of the grace."""
    answers: list[int] = []
    app, taken = create_practice_app(), trio.Event()

    @app.before_request
    async def take() -> None:
        taken.set()

    async def ask(base_url: str) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            answers.append((await client.get(f"{base_url}/slow?seconds=0.4")).status_code)

    async with trio.open_nursery() as asking:
        async with open_server(app, "127.0.0.1:0", graceful_timeout_s=PATIENCE_S) as url:
            asking.start_soon(ask, url)
            await taken.wait()
            leaving = trio.current_time()
        assert trio.current_time() - leaving < PATIENCE_S
    assert answers == [200]


async def test_leaving_cuts_requests_off_after_the_grace() -> None:
    """A request that takes longer is cut off at the end of the grace."""
    async with open_server(create_practice_app(), "127.0.0.1:0", graceful_timeout_s=0.3) as base_url:
        connection = await trio.open_tcp_stream(*host_and_port(base_url))
        await connection.send_all(b"GET /hang HTTP/1.1\r\nHost: practice\r\n\r\n")
        await trio.sleep(0.1)
        leaving = trio.current_time()
    assert 0.3 <= trio.current_time() - leaving < 0.3 + AT_ONCE_S
    await connection.aclose()


async def test_app_startup_and_shutdown_run_around_the_block() -> None:
    """The app has started before the block begins, and is told before the site is gone."""
    app = QuartTrio("lifespan", static_folder=None)
    told: list[str] = []
    app.before_serving(lambda: told.append("up"))
    app.after_serving(lambda: told.append("down"))
    async with open_server(app, "127.0.0.1:0"):
        assert told == ["up"]
    assert told == ["up", "down"]


async def test_app_that_fails_to_start_raises_and_frees_the_address() -> None:
    """The block is never entered, and the address is free again."""
    app = QuartTrio("unable", static_folder=None)
    with trio.socket.socket() as probe:
        await probe.bind(("127.0.0.1", 0))
        bind = "{}:{}".format(*probe.getsockname())

    @app.before_serving
    async def fail() -> None:
        raise RuntimeError("not today")

    with pytest.raises(LifespanFailureError, match="not today"):
        async with open_server(app, bind):
            pytest.fail("it did not start")
    async with open_practice_site(bind):
        pass


@pytest.mark.parametrize("error", [LookupError("mine"), ExceptionGroup("mine", [LookupError()])], ids=repr)
async def test_error_in_the_block_is_raised_as_itself(error: Exception) -> None:
    """The block's own error is not wrapped in an exception group by the server's nursery."""
    with pytest.raises(type(error)) as caught:
        async with open_practice_site():
            raise error
    assert repr(caught.value) == repr(error)  # trio copies a group


async def test_ipv6_address_is_served_and_shown_in_brackets() -> None:
    """An IPv6 bind gives a URL that clients understand."""
    async with open_practice_site("[::1]:0") as base_url, httpx.AsyncClient() as client:
        assert base_url.startswith("http://[::1]:")
        assert (await client.get(f"{base_url}/health")).text == "ok"


async def test_ipv6_reset_page_resets_the_connection() -> None:
    """The connection is found by its IPv6 addresses too."""
    async with open_practice_site("[::1]:0") as base_url, httpx.AsyncClient() as client:
        with pytest.raises(httpx.ReadError):
            await client.get(f"{base_url}/reset")


async def test_wildcard_address_gives_a_url_that_works_here() -> None:
    """The URL of a server on all addresses is the loopback one."""
    async with open_practice_site("0.0.0.0:0") as base_url, httpx.AsyncClient() as client:
        assert base_url.startswith("http://127.0.0.1:")
        assert (await client.get(f"{base_url}/health")).text == "ok"


async def test_taken_address_raises_bind_failed(site: str) -> None:
    """The error names the address and the reason, and is an OSError with its errno."""
    bind = site.removeprefix("http://")
    with pytest.raises(BindFailed, match="Can't listen on") as caught:
        async with open_practice_site(bind):
            pytest.fail("it was taken")
    assert (caught.value.errno, caught.value.bind) == (errno.EADDRINUSE, bind)
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize(
    "bind",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:",
        ":80",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        "::1:80",
        "[::1:80",
        "[127.0.0.1]:-1",
    ],
)
async def test_text_that_is_not_an_address_raises_bind_failed(bind: str) -> None:
    """There is no guessing: either a host and a port, or an error."""
    with pytest.raises(BindFailed, match="not HOST:PORT"):
        async with open_practice_site(bind):
            pytest.fail("that is no address")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70])
async def test_unknown_host_name_raises_bind_failed(host: str) -> None:
    """This applies to unknown names and to invalid ones."""
    with pytest.raises(BindFailed, match="Can't listen on"):
        async with open_practice_site(f"{host}:0"):
            pytest.fail("there is no such host")


async def test_address_of_another_machine_raises_bind_failed() -> None:
    """The machine doesn't have this address, so it can't listen on it."""
    with pytest.raises(BindFailed) as caught:
        async with open_practice_site("192.0.2.1:0"):
            pytest.fail("that is not ours")
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_serving_prints_nothing_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """There is no access log and no greeting. Messages go to logging."""
    async with open_practice_site() as base_url, httpx.AsyncClient() as client:
        await client.get(base_url)
    assert capfd.readouterr() == ("", "")


async def test_resetting_without_a_connection_resets_nothing(site: str) -> None:
    """The listening socket is not a connection, and stays open."""
    assert reset_connections(host_and_port(site)) == 0
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{site}/health")).text == "ok"


# Logins that end, unless they are renewed


async def test_login_ends_unless_it_is_renewed(client: httpx.AsyncClient) -> None:
    """A visit in the second half of a login's life gets a new one; the old one goes on to its end."""
    await log_in(client, "ada")
    first = client.cookies["sessionid"]

    async def visit(hours: float) -> str | None:
        moved = await client.post("/rotating/clock", params={"seconds": hours * 3600})
        assert moved.status_code == 204
        return viewer_on((await client.get("/rotating")).text)

    assert await visit(5) == "ada"
    assert client.cookies["sessionid"] == first
    assert await visit(2) == "ada"
    second = client.cookies["sessionid"]
    assert second != first
    old = {"sessionid": first}
    async with httpx.AsyncClient(
        base_url=client.base_url, cookies=old, timeout=PATIENCE_S, verify=NO_CERTIFICATES
    ) as other:
        assert viewer_on((await other.get("/rotating")).text) == "ada"
        other.cookies.clear()
        other.cookies.update(old)
        assert await visit(6) == "ada"
        assert viewer_on((await other.get("/rotating")).text) is None
    assert await visit(13) is None
    assert (await client.post("/rotating/clock", params={"seconds": -1})).status_code == 400
