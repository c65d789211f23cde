"""The practice site's pages that refuse or pass, and its answers that are not pages."""

from collections.abc import AsyncIterator

import httpx
import pytest

from greenroom.actors.verdict import Gate, LoginReason, LoginState, analyse_html, decide
from greenroom.actors.verdict.arrival import Arrival
from greenroom.web.practice import open_practice_site
from greenroom.web.practice.refusals import HEADLINES, PASS_COOKIE


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_practice_site() as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def test_passing_page_is_a_challenge_until_its_cookie_is_there(client: httpx.AsyncClient) -> None:
    """It may pass by itself. With the cookie it is the home feed."""
    passing = await client.get("/passing?seconds=0.5")
    decision = decide(analyse_html(passing.text).evidence)
    assert (decision.reason, decision.may_pass) == (LoginReason.CHALLENGE, True)
    assert "setTimeout" in passing.text
    assert "500)" in passing.text
    client.cookies.set(PASS_COOKIE, "1")
    home = await client.get("/passing?seconds=0.5")
    assert decide(analyse_html(home.text).evidence).state is LoginState.LOGGED_OUT


@pytest.mark.parametrize("path", ["/passing?seconds=61", "/passing?seconds=x", "/refused?status=500"])
async def test_wrong_numbers_are_refused(client: httpx.AsyncClient, path: str) -> None:
    """The answer says which numbers are allowed."""
    answer = await client.get(path)
    assert answer.status_code == 400
    assert "must be a" in answer.text


async def test_refusal_has_the_status_that_was_asked_for(client: httpx.AsyncClient) -> None:
    """It also has the Retry-After that was asked for."""
    answer = await client.get("/refused?status=429&retry_after=17")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "17")
    finding = analyse_html(answer.text, Arrival(status=429))
    assert decide(finding.evidence).reason is LoginReason.RATE_LIMITED
    assert "Retry-After" not in (await client.get("/refused")).headers


async def test_answers_that_are_not_pages(client: httpx.AsyncClient) -> None:
    """Each is something else in its own way."""
    assert "attachment" in (await client.get("/attachment")).headers["Content-Disposition"]
    assert (await client.get("/no-page")).headers["Content-Type"] == "application/json"
    assert (await client.get("/no-content")).status_code == 204
    assert "window.close()" in (await client.get("/closing")).text
    assert "location.replace" in (await client.get("/bounce")).text


@pytest.mark.parametrize("kind", HEADLINES)
async def test_gate_lies_in_front_of_the_feed(client: httpx.AsyncClient, kind: str) -> None:
    """The verdict sees both the viewer and the gate. An unknown kind is refused."""
    await client.post("/login", data={"username": "maker"})
    page = await client.get(f"/gate?kind={kind}")
    decision = decide(analyse_html(page.text).evidence)
    assert (decision.state, decision.gate) == (LoginState.LOGGED_IN, Gate(kind))
    assert (await client.get("/gate?kind=none")).status_code == 400
