"""All the evidence in a page's HTML."""

import attrs
import pytest

from greenroom.actors.verdict import LoginReason, Strength, analyse_html
from greenroom.actors.verdict.arrival import Arrival, Shown
from greenroom.actors.verdict.parsing import MAX_DEPTH
from tests.actors.verdict.builders import (
    HERE,
    LOGGED_IN,
    LOGGED_OUT,
    NOBODY,
    SOMEBODY,
    UNCERTAIN,
    UNIVERSAL,
    code,
    e2e,
    judge,
    pumbaa,
    script,
)

IN = script(UNIVERSAL, SOMEBODY)
OUT = script(UNIVERSAL, NOBODY)
CHALLENGED = (UNCERTAIN, LoginReason.CHALLENGE)
NOT_TIKTOK = (UNCERTAIN, LoginReason.NOT_TIKTOK)
UNREADABLE = (UNCERTAIN, LoginReason.UNREADABLE)
LARGE = "<p>" + "x" * 20_000 + "</p>"
TIKTOK = "<title>TikTok</title>" + LARGE
CLASS = 'class="css-1s9jpf8-DivContainer e1cx7wx90"'


@pytest.mark.parametrize(
    ("page", "state", "reason"),
    [
        (IN, LOGGED_IN, LoginReason.VIEWER_OBJECT),
        (OUT, LOGGED_OUT, LoginReason.VIEWER_OBJECT),
        (pumbaa("0"), LOGGED_OUT, LoginReason.LOGIN_FLAG),
        (pumbaa("0") * 2 + OUT, LOGGED_OUT, LoginReason.LOGIN_FLAG),
        (pumbaa("1") * 2 + IN, LOGGED_IN, LoginReason.VIEWER_OBJECT),
        (pumbaa("1"), UNCERTAIN, LoginReason.NOTHING_FOUND),
        (pumbaa("0") + pumbaa("1"), UNCERTAIN, LoginReason.CONFLICT),
        (pumbaa("0") + IN, UNCERTAIN, LoginReason.CONFLICT),
        (pumbaa("1") + OUT, UNCERTAIN, LoginReason.CONFLICT),
        (pumbaa("2") + TIKTOK, UNCERTAIN, LoginReason.NOTHING_FOUND),
        (e2e("profile-icon"), LOGGED_IN, LoginReason.VIEWER_CONTROLS),
        (e2e("nav-login-button"), LOGGED_OUT, LoginReason.LOGIN_BUTTON),
        ("<b id=header-login-button>", LOGGED_OUT, LoginReason.LOGIN_BUTTON),
        (e2e("profile-icon", "top-login-button"), UNCERTAIN, LoginReason.CONFLICT),
        (OUT + e2e("profile-icon"), LOGGED_IN, LoginReason.VIEWER_CONTROLS),
        (IN + e2e("top-login-button"), LOGGED_IN, LoginReason.VIEWER_OBJECT),
        (TIKTOK, UNCERTAIN, LoginReason.NOTHING_FOUND),
        (LARGE, *NOT_TIKTOK),
        ("", *NOT_TIKTOK),
        ("\0<<<>>>\ud800", *NOT_TIKTOK),
    ],
)
def test_page_is_judged_by_its_evidence(page: str, state: object, reason: LoginReason) -> None:
    """Each kind of evidence is judged, alone and combined."""
    assert judge(page) == (state, reason)


@pytest.mark.parametrize(
    "sign",
    [
        "<title>Security Check</title>",
        "<TITLE>\n security check </TITLE>",
        "<div class='TUXModal captcha-verify-container'>",
        "<div class=captcha_verify_container>",
        "<div id='captcha-verify-container'>",
    ],
)
def test_challenge_is_uncertain_whatever_else_is_on_it(sign: str) -> None:
    """Each sign of a visible challenge counts, alone and on a page of either state."""
    for rest in ("", IN, OUT, pumbaa("0"), e2e("profile-icon")):
        assert judge(sign + rest) == CHALLENGED


@pytest.mark.parametrize(
    "sign",
    [
        code("SlardarWAF"),
        script("slardar-config", '{"slardarClient":"SlardarWAF"}'),
        '<p id="wci" class="x _wafchallengeid">',
        '<script src="https://lf16-oec-ttweb-captcha.example/obj/oec-ttweb-captcha/a.js"></script>',
    ],
)
def test_means_of_a_challenge_are_one_where_nothing_else_is(sign: str) -> None:
    """TikTok's own pages load a challenge's code too; only the firewall's page has no data."""
    assert judge(sign) == judge(sign + LARGE) == CHALLENGED
    assert judge(sign + e2e("profile-icon"))[0] is LOGGED_IN
    assert judge(sign + pumbaa("0"))[0] is LOGGED_OUT
    assert judge(sign + IN) == (LOGGED_IN, LoginReason.VIEWER_OBJECT)
    assert judge(sign + OUT) == (LOGGED_OUT, LoginReason.VIEWER_OBJECT)


@pytest.mark.parametrize(
    "hidden",
    [
        "<div hidden><div class=captcha-verify-container></div></div>",
        "<div class=captcha-verify-container style='width:1px; DISPLAY : none'>",
        "<div style='visibility:hidden'><p><i id=captcha-verify-container></i></div>",
        "<section aria-hidden=true><div class='a captcha_verify_container'>x</div></section>",
        "<dialog><div class=captcha-verify-container></div></dialog>",
        "<div class=captcha-verify-container style='opacity:0'>",
    ],
)
def test_captcha_that_is_hidden_is_none(hidden: str) -> None:
    """A hidden container is not a challenge; a visible one next to it is."""
    assert judge(f"{hidden}</div>" + IN)[0] is LOGGED_IN
    shown = "<div style='display:block'><div class=captcha-verify-container></div></div>"
    assert judge(f"{hidden}</div>{shown}" + IN) == CHALLENGED


def test_what_the_browser_shows_counts_for_more_than_the_html() -> None:
    """A style sheet can hide a captcha too, or a script can move it in front of the page."""
    page = "<div class=captcha-verify-container></div>" + IN
    assert judge(page, attrs.evolve(HERE, shown=Shown(captcha=False)))[0] is LOGGED_IN
    assert judge(IN, attrs.evolve(HERE, shown=Shown(captcha=True))) == CHALLENGED


@pytest.mark.parametrize(
    "text",
    [
        "<p>Security Check</p>",
        "<title>How to pass a Security Check | TikTok</title>",
        "<title>TikTok</title><svg><title>Security Check</title></svg>",
        "<title></title><svg><title>Security Check</title></svg>",
        "<p>SlardarWAF captcha-verify-container oec-ttweb-captcha _wafchallengeid</p>",
        script("texts", '"SlardarWAF"'),
        script("__NEXT_DATA__", '{"a":"SlardarWAF"}'),
        code("SIGI_STATE={a:'SlardarWAF'}"),
        '<a title="captcha-verify-container" href="/oec-ttweb-captcha">',
        "<noscript><div class=captcha-verify-container></noscript>",
        "<template><div class=captcha-verify-container></div></template>",
        "<!-- <title>Security Check</title> <p class=_wafchallengeid> -->",
    ],
)
def test_words_of_a_challenge_are_none(text: str) -> None:
    """A challenge is recognized by its structure; talk about one doesn't count."""
    assert judge(text + IN)[0] is LOGGED_IN


@pytest.mark.parametrize("size", [10, 15_000])
def test_tiny_page_without_data_is_a_challenge(size: int) -> None:
    """A firewall's page is a script and almost nothing else."""
    assert judge(f"<script>{'x' * size}</script>") == CHALLENGED
    assert judge(f"<p>{'x' * size}</p>") == NOT_TIKTOK
    assert judge(f"<script>{'x' * 20_000}</script>") == NOT_TIKTOK


def test_page_from_another_site_is_not_judged() -> None:
    """After a redirect to another site, the page may be logged in, but not to TikTok."""
    assert judge(IN, Arrival(is_elsewhere=True)) == NOT_TIKTOK


@pytest.mark.parametrize(
    "page",
    [
        IN.replace("script", "SCRIPT").replace(" id=", " ID="),
        "<!doctype html><!-- saved from url=(0023)https://www.tiktok.com/ -->" + IN,
        ("\ufeff" + IN).encode(),
        ("\ufeff" + IN).encode("utf-16-le"),
        ("\ufeff" + IN).encode("utf-16-be"),
        ("<p>" + IN).encode("utf-16-le"),
        ("<p>" + IN).encode("utf-16-be"),
        ("<p>é</p>" + IN).encode("latin-1"),
        ("<meta charset=gbk><p>中</p>" + IN).encode("gbk"),
        IN.replace("quiet", "qui\0et"),
        "<p>\0\ud800\ufffe</p>" + IN,
        IN + "<div",
        IN[: -len("</script>")],
        "</html></html>" + IN,
        "<html><body><html><head>" + IN,
        IN + "\n".join(["<p>unclosed"] * 5_000),
    ],
)
def test_broken_and_strange_pages_are_read(page: str | bytes) -> None:
    """Byte order marks, encodings, upper case, NULs and truncation after the evidence do no harm."""
    assert judge(page)[0] is LOGGED_IN


@pytest.mark.parametrize(
    "ballast",
    [
        f"<div {CLASS}><span {CLASS}>text</span></div>" * 10_000,
        f"<div {CLASS}><svg><path d='{'M0 0h24v24' * 10}'/></svg><a href='/@a' {CLASS}>text</a></div>"
        * 20_000,
        f'<img src="data:image/webp;base64,{"UklGRjIAAABXRUJQVlA4/+a" * 400_000}">',
        f"<style>{'.a{background:url(data:;base64,AAAA) no-repeat}' * 40_000}</style>",
        f"<script>{'var a = b / c; ' * 100_000}</script>",
        f"<iframe srcdoc='{'&lt;div class=&quot;a&quot;&gt; hello' * 8_000}'></iframe>",
        f"<!-- {'one two three ' * 15_000} -->",
        "<div>" * (MAX_DEPTH - 20) + "</div>" * (MAX_DEPTH - 20),
        "<p>one two, three\n" * 10_000,
    ],
    ids=["elements", "feed", "image", "style", "script", "frame", "comment", "depth", "text"],
)
def test_large_page_is_read_to_its_end(ballast: str) -> None:
    """Neither a long feed nor a page saved with its images comes near the bounds."""
    assert judge(ballast + IN) == (LOGGED_IN, LoginReason.VIEWER_OBJECT)


@pytest.mark.parametrize(
    "storm",
    ["<a>" * 300_000, "<div>" * 600, "<a " + " ".join(f"b{n}" for n in range(200_000)), "<i></b>" * 200_000],
)
def test_page_beyond_bounds_is_never_logged_in(storm: str) -> None:
    """Reading stops there, and whatever was found counts only against a login."""
    assert judge(IN + storm) == UNREADABLE
    assert judge(storm + IN) == UNREADABLE
    assert judge(pumbaa("0") + storm)[0] is LOGGED_OUT


def test_words_are_counted_where_there_is_nothing_else() -> None:
    """The weakest evidence is reported, and decides nothing."""
    (words,) = analyse_html(TIKTOK + "inbox").evidence
    assert (words.strength, words.points_to, words.count) == (Strength.WORDS, LOGGED_IN, 1)
    assert all(piece.strength > Strength.WORDS for piece in analyse_html(IN + "inbox").evidence)


def test_evidence_never_holds_page_content() -> None:
    """Rules and places are our own words, whatever the page says."""
    page = IN.replace("quiet.heron", "SECRET") + e2e("SECRET", "profile-icon") + pumbaa("SECRET")
    finding = analyse_html(page)
    assert finding.viewer == "SECRET"
    assert "SECRET" not in repr(finding)
