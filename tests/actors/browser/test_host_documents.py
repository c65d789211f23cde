"""How the host handles a page's report about itself, which may be anything."""

from collections.abc import Mapping

import attrs
import pytest
from playwright.async_api import Error

from greenroom.actors.browser.host.document import Answers, PageUnreachable, check_type, has_gone_on, look
from greenroom.actors.verdict.arrival import Shown

ASKED = "https://www.tiktok.com/"
SEEN = [False, ["Confirm your age"], ["age-gate"]]


@attrs.define
class SaysAnything:
    """A page whose inspection returns a given value."""

    told: list[object]

    async def evaluate(self, _script: str, _bounds: list[object]) -> list[object]:
        return self.told


@attrs.frozen
class Answered:
    status: int
    headers: Mapping[str, str]


def look_at(told: list[object], answered: int = 0) -> object:
    """Return the result of an inspection. It needs no event loop, since nothing in it waits."""
    page = SaysAnything(told)
    answers = Answers(page)  # type: ignore[arg-type]  # all that is needed of one
    answers.status, answers.retry_after_s = answered, 17
    looking = look(page, ASKED, answers)  # type: ignore[arg-type]
    try:
        looking.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def test_inspection_reports_how_the_page_came() -> None:
    """The page's own status beats that of the last answer, whose Retry-After then doesn't count."""
    told = ["https://m.tiktok.com/login/2sv", "123.5", 429, "text/html", SEEN, "<p>x"]
    sight = look_at(told, 429)
    arrival = sight.arrival  # type: ignore[attr-defined]
    assert (arrival.is_proven, arrival.is_elsewhere, arrival.path) == (True, False, "/login/2sv")
    assert (arrival.status, arrival.retry_after_s, arrival.document) == (429, 17, "123.5")
    assert arrival.shown == Shown(False, ("Confirm your age",), ("age-gate",))
    other = look_at(told, 200).arrival  # type: ignore[attr-defined]
    assert (other.status, other.retry_after_s) == (429, None)


@pytest.mark.parametrize("seen", [None, [], [1], [False, "x", []], [False, [{}], [None]], {"a": 1}])
@pytest.mark.parametrize("junk", [None, {}, [], "x", True])
def test_page_may_report_anything_about_itself(seen: object, junk: object) -> None:
    """A nonsensical report costs the page its verdict but does the host no harm."""
    sight = look_at(["https://evil.example/", junk, junk, "text/html", seen, junk], 200)
    arrival = sight.arrival  # type: ignore[attr-defined]
    assert (arrival.is_elsewhere, arrival.is_proven) == (True, False)
    assert arrival.shown == Shown()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([ASKED, "1", 503, "text/html", SEEN, ""], "HTTP 503"),
        ([ASKED, "1", 200, "application/pdf", SEEN, ""], "application/pdf came"),
        ([ASKED, "1", 200, "Image/PNG", SEEN, ""], "image/png came"),
        ([ASKED, "1", 200, "<b>/x", SEEN, ""], "something else came"),
        (["about:neterror?e=netReset&u=https%3A//x/", "1", 200, "text/html", SEEN, ""], "^netReset$"),
        (["about:certerror?s=expert&e=nssBadCert", "1", 0, "text/html", SEEN, ""], "^nssBadCert$"),
    ],
)
def test_page_that_went_on_to_something_else_is_unreachable(told: list[object], why: str) -> None:
    """The message is in our own words. A server's content type is only shown if it is well formed."""
    with pytest.raises(PageUnreachable, match=why):
        look_at(told)


@pytest.mark.parametrize(
    ("status", "declared", "is_page"),
    [
        (200, "text/html; charset=utf-8", True),
        (200, "TEXT/HTML", True),
        (200, "application/xhtml+xml", True),
        (200, "", True),
        (403, "application/json", True),
        (429, "text/plain", True),
        (200, "application/json", False),
        (200, "text/plain", False),
        (206, "video/mp4", False),
    ],
)
def test_content_type_decides_what_is_a_page(status: int, declared: str, is_page: bool) -> None:
    """A refusal is judged by its status, whatever its type."""
    answer = Answered(status, {"content-type": declared} if declared else {})
    if is_page:
        check_type(answer)  # type: ignore[arg-type]
    else:
        with pytest.raises(PageUnreachable):
            check_type(answer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "has"),
    [
        ("Page.evaluate: Execution context was destroyed, most likely because of a navigation", True),
        ("Frame was detached", True),
        ("Unexpected token while parsing css selector", False),
    ],
)
def test_inspection_that_failed_for_a_navigation_is_repeated(words: str, has: bool) -> None:
    """Any other failure of an inspection is an error."""
    assert has_gone_on(Error(words)) is has
