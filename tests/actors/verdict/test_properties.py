"""What holds for any page at all."""

import functools
import html
import json
import random
import re

from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.verdict import Evidence, LoginReason, LoginState, Strength, analyse_html, decide
from greenroom.web.practice.pages import TRAPS, Page, State, all_pages, render
from tests.actors.verdict.builders import LOGGED_IN, NOBODY, SOMEBODY, UNIVERSAL, e2e, judge, pumbaa, script
from tests.fuzz.hostile import hostile_pages
from tests.fuzz.mutating import mutate

PIECES = (
    *TRAPS,
    *(
        "<b>",
        "</b>",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        '"',
        "'",
        "{",
        "}",
        "\\",
        "&quot;",
        "\0",
        "login=1",
    ),
    *("data-e2e=profile-icon", "log in", "sign out", "inbox", '"uid":"1"', "\n", "é", "\ud800"),
)
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=6).map("".join)
bases = st.sampled_from(
    (
        script(UNIVERSAL, SOMEBODY),
        script(UNIVERSAL, NOBODY),
        pumbaa("0"),
        pumbaa("1"),
        e2e("profile-icon"),
        e2e("top-login-button"),
        "<title>Security Check</title>",
        "<title>TikTok</title>" + "<p>x</p>" * 4_000,
    )
)
tags = st.sampled_from(
    ("<a>", "</a>", "<p>", "<div class=x>", "<br>", "<svg>", "<table>", "<template>", "<form>")
)


@given(bases, texts, st.booleans())
def test_text_outside_of_the_places_changes_no_verdict(base: str, text: str, is_first: bool) -> None:
    """Text nodes, comments, other attributes and strings in other data don't speak for TikTok."""
    escaped = html.escape(text)
    additions = (
        f"<p>{escaped}</p>",
        f'<a title="{escaped}" href="{escaped}" data-x="{escaped}">x</a>',
        f"<!-- {text.replace('>', '')} -->",
        f"<textarea>{escaped}</textarea>",
        script("translations", json.dumps({"text": text}).replace("<", "\\u003c")),
        f"<style>/* {re.sub('<', '', text)} */</style>",
        f'<meta name="description" content="{escaped}">',
    )
    expected = judge(base)
    for addition in additions:
        assert judge(addition + base if is_first else base + addition) == expected


@given(texts, st.sampled_from((SOMEBODY, NOBODY)))
def test_strings_in_the_data_change_no_verdict(text: str, data: str) -> None:
    """Translations next to the viewer's place may say anything."""
    changed = json.loads(data)
    changed["__DEFAULT_SCOPE__"]["webapp.i18n-translation"] = {text: text}
    changed["__DEFAULT_SCOPE__"]["webapp.app-context"][f"{text}x"] = text
    written = json.dumps(changed).replace("<", "\\u003c")
    assert judge(script(UNIVERSAL, written)) == judge(script(UNIVERSAL, data))


@given(
    st.lists(texts | tags | st.sampled_from((pumbaa("1"), script(UNIVERSAL, NOBODY))), max_size=30).map(
        "".join
    )
)
def test_page_without_proof_is_never_logged_in(page: str) -> None:
    """A page without the viewer object and without a viewer's controls is never logged in."""
    if judge(page)[0] is LOGGED_IN:
        proofs = {piece.reason for piece in analyse_html(page).evidence if piece.points_to is LOGGED_IN}
        assert proofs & {LoginReason.VIEWER_OBJECT, LoginReason.VIEWER_CONTROLS}
        assert re.search(r"data-e2e=|uid", page)


@given(
    st.lists(
        st.builds(
            Evidence,
            rule=st.just("r"),
            place=st.just("p"),
            points_to=st.sampled_from(LoginState),
            strength=st.sampled_from(Strength),
            reason=st.sampled_from(LoginReason),
        )
    )
)
def test_policy_needs_a_proof_and_minds_no_order(evidence: list[Evidence]) -> None:
    """For any combination of evidence, a login needs a proof, and the order doesn't matter."""
    decision = decide(evidence)
    backwards = decide(evidence[::-1])
    assert (backwards.state, backwards.conclusive) == (decision.state, decision.conclusive)
    if decision.state is not LoginState.UNCERTAIN:
        assert any(
            piece.points_to is decision.state
            and piece.reason is decision.reason
            and piece.strength > Strength.WORDS
            for piece in evidence
        )
    found = {piece.reason for piece in evidence}
    if found & {LoginReason.CHALLENGE, LoginReason.NOT_TIKTOK}:
        assert decision.state is LoginState.UNCERTAIN


@given(st.binary(max_size=2_000))
def test_any_bytes_are_judged(page: bytes) -> None:
    """Nothing raises, and noise is nobody's page."""
    assert judge(page)[0] is LoginState.UNCERTAIN


@functools.cache
def rendered(page: Page) -> bytes:
    return render(page).encode()


@given(st.sampled_from(list(all_pages())), st.floats(0, 1))
def test_page_cut_anywhere_is_never_logged_in_unless_it_was(page: Page, share: float) -> None:
    """The beginning of a logged-out page, or of a challenge, proves no login."""
    whole = rendered(page)
    state, _ = judge(whole[: int(len(whole) * share)])
    assert page.state is State.LOGGED_IN or state is not LOGGED_IN


def test_small_logged_out_page_cut_at_any_byte_is_never_logged_in() -> None:
    """Every prefix of a page with a viewed profile and talk about logins is judged."""
    scope = (
        '{"webapp.user-detail":{"userInfo":{"user":{"uid":"1"}}},"webapp.app-context":{"user":{"uid":""}}}'
    )
    page = (
        script(UNIVERSAL, f'{{"__DEFAULT_SCOPE__":{scope}}}')
        + "<script>window['SIGI_STATE']={a:'AppContext:{appContext:{user:{uid:1}}}',"
        + "AppContext:{appContext:{user:{}}}}</script>"
        + pumbaa("0")
        + e2e("upload-icon", "top-login-button")
    ).encode()
    for end in range(len(page) + 1):
        assert judge(page[:end])[0] is not LOGGED_IN


def test_hostile_pages_are_judged() -> None:
    """No hostile page raises, whatever it repeats."""
    for _, page in hostile_pages(50_000):
        judge(page)


def test_pages_broken_at_random_are_judged() -> None:
    """A few of the pages that `python -m tests.fuzz` generates by the thousand."""
    rng = random.Random(7)  # noqa: S311  # no secret
    pages = [rendered(page) for page in list(all_pages())[::9]]
    for _ in range(25):
        judge(mutate(rng, pages))
