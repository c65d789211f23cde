"""Every faithful page has the structure and weight that it promises. The tests read it by their own means."""

import functools
import hashlib
import html
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from lxml import html as lxml_html

from greenroom.web.practice.pages import (
    INVENTED_VIEWER,
    TRAPS,
    VIEWED,
    Era,
    Kind,
    NoSuchPage,
    Page,
    Place,
    State,
    Viewer,
    all_pages,
    evidence_of,
    render,
    render_uncertain,
)

LOGGED_IN_MARKS = {
    "profile-icon",
    "inbox-icon",
    "inbox-notifications",
    "top-dm-icon",
    "nav-messages",
    "nav-activity",
}
LOGIN_MARKS = {"top-login-button", "nav-login-button"}
LOGIN_IDS = {"header-login-button", "top-right-action-bar-login-button"}
DATA_SCRIPTS = {
    "__NEXT_DATA__",
    "SIGI_STATE",
    "sigi-persisted-data",
    "__UNIVERSAL_DATA_FOR_REHYDRATION__",
    "__Creator_Center_Context__",
}
UNDEFINED = '"<undefined>"'
HOSTILE = Viewer("</script><script>alert(1)</script>\"'\\&\n\u2028é", "7123")
ALL = list(all_pages())
CHALLENGED = [page for page in ALL if page.state is State.CHALLENGE]
SHOWN = [page for page in ALL if page.state is not State.CHALLENGE]
LOGGED_IN = [page for page in ALL if page.state is State.LOGGED_IN]
LOGGED_OUT = [page for page in ALL if page.state is State.LOGGED_OUT]
LATE = [page for page in SHOWN if page.kind is Kind.HOME and not page.rendered]
each = pytest.mark.parametrize


def name_of(page: object) -> str:
    """Return a parameter's name for a test's id."""
    return page.name if isinstance(page, Page) else str(page)


def literal_to_json(literal: str) -> str:
    """Rewrite a JavaScript literal, of the kind that minifiers write, as JSON."""

    def rewrite(token: re.Match[str]) -> str:
        if token["text"] is not None:
            text = re.sub(r"\\x(..)", r"\\u00\1", token["text"])
            return '"' + text.replace("\\'", "'").replace('"', '\\"') + '"'
        if token["word"] is not None:
            return {"null": "null", "undefined": UNDEFINED}.get(token["word"], f'"{token["word"]}"')
        if token["thousands"] is not None:
            return token["thousands"] + "000"
        return {"!0": "true", "!1": "false", ",": ""}.get(token[0], token[0])

    tokens = (
        r"'(?P<text>(?:[^'\\]|\\.)*)'",
        r"(?P<word>[A-Za-z_$][\w$]*)",
        r"(?P<thousands>\d+)e3",
        r"\d+",
        r"![01]",
        r",(?=[}\]])",
    )
    return re.sub("|".join(tokens), rewrite, literal)


@attrs.frozen
class Seen:
    """What a reader finds in a page's structure."""

    pumbaa: list[str]
    marks: set[str]
    ids: set[str]
    scripts: int
    root: Any

    @functools.cached_property
    def data(self) -> dict[str, Any]:
        """The page's data for its scripts."""
        return _data(self.root)

    def at(self, place: Place) -> tuple[bool, Any]:
        """Return whether the object that would hold the viewer exists, and what it holds there."""
        *parents, key = place.value.split()
        found: Any = self.data
        for parent in parents:
            found = found.get(parent, {})
        return bool(found), found.get(key)

    @property
    def viewers(self) -> list[str]:
        """The uids at all places for a viewer."""
        found = [self.at(place)[1] for place in Place]
        return [user["uid"] for user in found if isinstance(user, dict) and user.get("uid")]

    @property
    def points_in(self) -> bool:
        """Whether anything says that somebody is logged in."""
        said = any(content.startswith("login=1,") for content in self.pumbaa)
        return bool(self.viewers or self.marks & LOGGED_IN_MARKS or said)

    @property
    def points_out(self) -> bool:
        """Whether anything says that nobody is logged in."""
        said = any(content.startswith("login=0,") for content in self.pumbaa)
        empty = any(there and not (user or {}).get("uid") for there, user in self._places())
        return bool(said or self.marks & LOGIN_MARKS or self.ids or empty)

    def _places(self) -> Iterator[tuple[bool, Any]]:
        sigi = (Place.SIGI_USER, Place.SIGI_DOLLAR_USER)
        yield from (self.at(place) for place in Place if place not in sigi)
        there, user = self.at(Place.SIGI_USER)
        yield there, user or self.at(Place.SIGI_DOLLAR_USER)[1]


def see(page: str) -> Seen:
    """Read a page as a browser's parser would, without running its scripts."""
    root: Any = lxml_html.document_fromstring(page)
    return Seen(
        pumbaa=root.xpath("//meta[@name='pumbaa-ctx']/@content"),
        marks=set(root.xpath("//@data-e2e")) & (LOGGED_IN_MARKS | LOGIN_MARKS),
        ids=set(root.xpath("//@id")) & LOGIN_IDS,
        scripts=len(root.xpath("//script")),
        root=root,
    )


def _data(root: Any) -> dict[str, Any]:
    scripts = {script.get("id"): script.text for script in root.xpath("//script[@id]")}
    found = sorted(DATA_SCRIPTS & scripts.keys())
    if not found:
        return {}
    assert len(found) == 1
    text = scripts[found[0]]
    if found[0] == "__Creator_Center_Context__":
        text = html.unescape(text)
    if found[0] == "sigi-persisted-data":
        matched = re.fullmatch(r"window\['SIGI_STATE'\]=(\{.*\});window\['SIGI_RETRY'\]=\{.*\};", text)
        assert matched
        text = literal_to_json(matched[1])
    data = json.loads(text)
    assert isinstance(data, dict)
    return {key: _without_undefined(member) for key, member in data.items()}


def _without_undefined(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_undefined(member)
            for key, member in value.items()
            if member != json.loads(UNDEFINED)
        }
    return value


def words_in(page: str, *words: str) -> int:
    """Count words in a page's HTML, whatever their case."""
    lowered = page.lower()
    return sum(lowered.count(word) for word in words)


# The possible pages


def test_all_pages_have_unique_names() -> None:
    """Every page comes once. Every state, era and kind is used."""
    assert len({page.name for page in ALL}) == len(set(ALL)) == len(ALL) == len(list(all_pages()))
    assert {page.state for page in ALL} == set(State)
    assert {page.era for page in ALL} == set(Era)
    assert {page.kind for page in ALL} == set(Kind)


@each("page", ALL, ids=name_of)
def test_page_is_found_by_its_query(page: Page) -> None:
    """An address's query names the page."""
    words = dict(pair.split("=") for pair in page.query.split("&"))
    assert Page.parse(**words) == page


@each(
    ("words", "why"),
    [
        (("gone", "next", "home"), "state must be one of logged_in, logged_out, challenge"),
        (("logged_in", "", "home"), "era must be one of next, sigi, sigi_literal, universal"),
        (("logged_in", "next", "shop"), "kind must be one of home, profile,"),
        (("logged_in", "next", "home", "1"), "rendered must be one of true, false"),
        (("logged_in", "sigi", "studio"), "studio does not exist in the era sigi, only in universal"),
        (("logged_in", "universal", "firewall"), "firewall can't have the state logged_in"),
        (("challenge", "universal", "home"), "home can't have the state challenge"),
        (("logged_out", "universal", "messages"), "messages is shown to logged_in viewers only"),
        (("challenge", "universal", "tiny", "false"), "tiny is always rendered"),
    ],
    ids=name_of,
)
def test_senseless_combination_is_refused(words: tuple[str, ...], why: str) -> None:
    """The error says why there is no such page."""
    with pytest.raises(NoSuchPage, match=why):
        Page.parse(*words)


# The pages' evidence


@each("page", SHOWN, ids=name_of)
def test_page_carries_the_evidence_it_promises_and_no_other(page: Page) -> None:
    """A reader finds in elements and data exactly what `evidence_of` lists. Text doesn't count."""
    promised, seen = evidence_of(page), see(render(page))
    login = int(page.state is State.LOGGED_IN)
    assert len(seen.pumbaa) == promised.pumbaa
    assert all(content.startswith(f"login={login},") for content in seen.pumbaa)
    assert seen.marks == (set() if promised.late else set(promised.marks))
    assert seen.ids == (set() if promised.late else set(promised.ids))
    assert [place for place in Place if seen.at(place)[0] and place is promised.place] == (
        [promised.place] if promised.place else []
    )
    assert seen.viewers == ([INVENTED_VIEWER.uid] if promised.place and login else [])


@each("page", LOGGED_IN, ids=name_of)
def test_logged_in_page_can_be_judged_by_its_evidence(page: Page) -> None:
    """It has a viewer object or an element that only viewers get, and nothing that contradicts it."""
    seen = see(render(page))
    assert seen.points_in
    assert not seen.points_out


@each("page", LOGGED_OUT, ids=name_of)
def test_logged_out_page_can_be_judged_by_its_evidence(page: Page) -> None:
    """It has a login button, a flag, or an empty place for the viewer, and nothing that contradicts it."""
    seen = see(render(page, INVENTED_VIEWER))
    assert seen.points_out
    assert not seen.points_in


def test_pages_vary_in_their_evidence() -> None:
    """No single method is enough: some pages have only data, some only the flag, some only elements."""
    logged_out = [evidence_of(page) for page in LOGGED_OUT]
    assert any(found.place is None and found.pumbaa and not found.marks for found in logged_out)
    assert any(found.place is None and not found.pumbaa and found.marks for found in logged_out)
    assert any(found.place and not found.pumbaa and not found.marks for found in logged_out)
    assert any(not found.marks and found.ids for found in logged_out)
    assert any(found.place is None and found.marks for found in map(evidence_of, LOGGED_IN))
    assert {found.place for found in map(evidence_of, ALL)} == {*Place, None}


@each("page", [page for page in SHOWN if page.kind is Kind.PROFILE], ids=name_of)
def test_profile_page_shows_somebody_who_is_not_the_viewer(page: Page) -> None:
    """The owner of the profile has a uid too, at another place."""
    text = json.dumps(see(render(page)).data)
    assert f'"uid": "{VIEWED.uid}"' in text
    assert VIEWED.uid != INVENTED_VIEWER.uid


@each("page", LOGGED_IN, ids=name_of)
def test_hostile_handle_stays_text_everywhere(page: Page) -> None:
    """No handle can end a script, an element or a string. The data has it unchanged."""
    usual, hostile = see(render(page)), see(render(page, HOSTILE))
    assert hostile.scripts == usual.scripts
    assert hostile.marks == usual.marks
    place = evidence_of(page).place
    if place is not None:
        assert hostile.at(place)[1]["uniqueId"] == HOSTILE.handle
        assert hostile.viewers == [HOSTILE.uid]


@each("page", LATE, ids=name_of)
def test_unrendered_home_brings_its_header_by_script(page: Page) -> None:
    """The shell is empty. Its script has the logged-out and the logged-in home, and shows the right one."""
    seen = see(render(page))
    [script] = [text for text in seen.root.xpath("//script/text()") if "addEventListener" in text]
    matched = re.search(r"const shells = (\[.*\]);\n.*innerHTML = shells\[([01])\];\n\}, 200\)\);", script)
    assert matched
    shown = see(json.loads(matched[1])[int(matched[2])])
    other = see(json.loads(matched[1])[1 - int(matched[2])])
    promised = evidence_of(page)
    assert (shown.marks, shown.ids) == (set(promised.marks), set(promised.ids))
    assert shown.points_in is (page.state is State.LOGGED_IN) is not other.points_in


@each("page", [page for page in SHOWN if not page.rendered], ids=name_of)
def test_unrendered_page_is_an_empty_shell(page: Page) -> None:
    """The page has data but nothing to see."""
    seen = see(render(page))
    [root] = seen.root.xpath("//div[@id='app' or @id='__next']")
    assert len(root) == 0
    assert not seen.root.xpath("//@data-e2e")


def test_marks_of_both_kinds_of_viewer_are_on_both_kinds_of_page() -> None:
    """Marks that prove nothing, and a link to the login page, are there for every viewer."""
    for state in (State.LOGGED_IN, State.LOGGED_OUT):
        root = see(render(Page(state, Era.UNIVERSAL, Kind.HOME))).root
        assert {"upload-icon", "nav-profile", "nav-following"} <= set(root.xpath("//@data-e2e"))
        assert root.xpath("//a[starts-with(@href, '/login')]")


@each("page", [page for page in SHOWN if page.kind is Kind.STUDIO], ids=name_of)
def test_studio_data_is_escaped_twice(page: Page) -> None:
    """Scripts are not decoded, so the JSON is HTML text, with entities of one kind."""
    [text] = see(render(page)).root.xpath("//script[@id='__Creator_Center_Context__']/text()")
    assert '"' not in text
    assert ("&#34;" in text, "&quot;" in text) == (page.rendered, not page.rendered)


@each("page", [page for page in SHOWN if page.era is Era.SIGI_LITERAL], ids=name_of)
def test_literal_data_is_not_json(page: Page) -> None:
    """It uses everything that JSON doesn't allow."""
    [text] = see(render(page)).root.xpath("//script[@id='sigi-persisted-data']/text()")
    for what in ("appContext:{", "'en'", "undefined", ":!0", ":!1", ",}", "\\x3C", "\\xE9", "3e3"):
        assert what in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.removeprefix("window['SIGI_STATE']="))


# Weight and traps


@each("page", SHOWN, ids=name_of)
def test_page_weighs_about_half_a_megabyte_in_long_lines(page: Page) -> None:
    """Every page is as heavy as a real one. Most of it is one line."""
    text = render(page)
    assert 440_000 <= len(text.encode()) <= 570_000
    assert max(map(len, text.split("\n"))) >= 400_000


@each("page", SHOWN, ids=name_of)
def test_page_is_full_of_words_that_prove_nothing(page: Page) -> None:
    """Words for both kinds of viewer are there by the hundred, for every viewer."""
    text = render(page)
    for words in (("account",), ("message",), ("inbox",), ("notification",), ("sign out", "log out")):
        assert words_in(text, *words) >= 300
    assert words_in(text, "log in", "sign in") >= 300


@each("page", [*SHOWN, None], ids=name_of)
def test_traps_are_in_comments_attributes_and_texts(page: Page | None) -> None:
    """Text that looks like evidence is in all the places where it doesn't count."""
    seen = see(render(page) if page else render_uncertain())
    comments = " ".join(comment.text for comment in seen.root.xpath("//comment()"))
    [seed] = seen.root.xpath("//@data-seed")
    texts = json.dumps(seen.data)
    for trap in TRAPS:
        assert trap in comments
        assert trap in seed
        assert json.dumps(trap)[1:-1] in texts


def test_logged_in_and_logged_out_pages_differ_in_little() -> None:
    """The heavy text is the same for everybody, so counting words can't tell the pages apart."""
    pages = [render(Page(state, Era.UNIVERSAL, Kind.PROFILE, rendered=False)) for state in list(State)[:2]]
    assert abs(len(pages[0]) - len(pages[1])) < 1000


def test_rendering_is_the_same_in_another_process() -> None:
    """Nothing in a page depends on chance, the clock, or the order of a set."""
    program = (
        "import hashlib; from greenroom.web.practice.pages import all_pages, render; "
        "print(hashlib.sha256(''.join(map(render, all_pages())).encode()).hexdigest())"
    )
    command = [sys.executable, "-I", "-c", program]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert told == hashlib.sha256("".join(map(render, ALL)).encode()).hexdigest()


def test_rendering_takes_milliseconds() -> None:
    """The heavy parts are made once. After that, a page takes no time."""
    for page in (ALL[0], Page(State.LOGGED_IN, Era.SIGI_LITERAL, Kind.HOME, rendered=False)):
        render(page)
        took = []
        for _ in range(10):
            started = time.thread_time()
            render(page)
            took.append(time.thread_time() - started)
        assert min(took) < 0.02


@each("page", ALL, ids=name_of)
def test_page_loads_nothing_from_elsewhere(page: Page) -> None:
    """Everything that an element would load is inline or on the site itself."""
    for source in see(render(page)).root.xpath("//*[not(self::a)]/@src | //*[not(self::a)]/@href"):
        assert source.startswith(("/", "#", "data:"))
        assert not source.startswith("//")


def test_viewer_of_a_handle_is_always_the_same() -> None:
    """An account keeps its uid, which is too long for a JavaScript number, and no two accounts share one."""
    ada, bob = Viewer.named("ada"), Viewer.named("bob")
    assert ada == Viewer.named("ada")
    assert ada.uid != bob.uid
    assert re.fullmatch(r"7\d{18}", ada.uid)


# Challenges


@each("page", [page for page in CHALLENGED if page.kind is not Kind.OVERLAY], ids=name_of)
def test_challenge_carries_no_evidence_of_a_viewer(page: Page) -> None:
    """It says neither, and has no data at all. A given viewer changes nothing."""
    seen = see(render(page))
    assert not seen.points_in
    assert not seen.points_out
    assert seen.data == {}
    assert render(page, INVENTED_VIEWER) == render(page)


@each("era", [Era.SIGI, Era.UNIVERSAL], ids=name_of)
def test_security_check_has_its_title(era: Era) -> None:
    """It is recognized by its title."""
    root = see(render(Page(State.CHALLENGE, era, Kind.SECURITY_CHECK))).root
    assert root.findtext(".//title") == "Security Check"
    assert root.find_class("captcha-verify-container")


def test_firewall_page_is_small_and_waits() -> None:
    """It is 1.4 KB: a script's settings, two words and a puzzle."""
    text = render(Page(State.CHALLENGE, Era.UNIVERSAL, Kind.FIREWALL))
    root = see(text).root
    assert 1_300 <= len(text) <= 1_500
    [settings] = root.xpath("//script[@id='slardar-config'][@type='application/json']/text()")
    assert settings.startswith('{"slardarClient":"SlardarWAF",')
    assert json.loads(settings)
    assert "Please wait..." in root.text_content()
    assert root.xpath("//p[@id='wci'][@class='_wafchallengeid']")


def test_shop_captcha_loads_its_script() -> None:
    """It is recognized by the script that it loads."""
    root = see(render(Page(State.CHALLENGE, Era.UNIVERSAL, Kind.SHOP_CAPTCHA))).root
    assert [source for source in root.xpath("//script/@src") if "oec-ttweb-captcha" in source]


def test_tiny_page_has_a_script_and_nothing_else() -> None:
    """It is a script in a page of a few hundred bytes."""
    text = render(Page(State.CHALLENGE, Era.UNIVERSAL, Kind.TINY))
    assert len(text) < 500
    assert see(text).scripts == 1
    assert see(text).root.findtext(".//title") is None


@each("viewer", [None, INVENTED_VIEWER], ids=["nobody's", "somebody's"])
@each("era", [Era.SIGI, Era.UNIVERSAL], ids=name_of)
def test_overlay_lies_on_a_full_home(era: Era, viewer: Viewer | None) -> None:
    """The page under the captcha is the viewer's home, with all its evidence."""
    seen = see(render(Page(State.CHALLENGE, era, Kind.OVERLAY), viewer))
    assert len(seen.root.find_class("captcha-verify-container")) == 1
    assert (seen.points_in, seen.points_out) == (viewer is not None, viewer is None)


@each("page", [*SHOWN, None], ids=name_of)
def test_page_without_a_captcha_has_no_sign_of_one(page: Page | None) -> None:
    """No other page has an element that would make it a challenge."""
    root = see(render(page) if page else render_uncertain()).root
    assert not root.find_class("captcha-verify-container")
    assert not root.xpath("//*[@id='wci' or @id='slardar-config'] | //script[@src]")
    assert root.findtext(".//title") != "Security Check"


def test_uncertain_page_is_heavy_and_carries_no_evidence() -> None:
    """Its data has no place for a viewer, and its elements say nothing."""
    seen = see(render_uncertain())
    assert not seen.points_in
    assert not seen.points_out
    assert list(seen.data) == ["__DEFAULT_SCOPE__"]
    assert "webapp.app-context" not in seen.data["__DEFAULT_SCOPE__"]
    assert len(render_uncertain()) >= 440_000
