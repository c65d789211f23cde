"""Logins that other programs have exported, format by format."""

import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.errors import LoginFileInvalid
from greenroom.actors.machine.storage_state import Cookie, Item, Origin
from greenroom.actors.profile.login_files import MAX_BYTES, MAX_COOKIES, Login, read_login_file
from tests.patience import patience

URL = "https://www.tiktok.com/"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
LATER = 1_800_000_000
SESSIONID = Cookie(
    name="sessionid",
    value="canary",
    domain=".tiktok.com",
    expires=LATER,
    http_only=True,
    secure=True,
    same_site="None",
)
LINE = f"#HttpOnly_.tiktok.com\tTRUE\t/\tTRUE\t{LATER}\tsessionid\tcanary"
EXPORTED = {
    "domain": ".tiktok.com",
    "expirationDate": LATER + 0.5,
    "hostOnly": False,
    "httpOnly": True,
    "name": "sessionid",
    "path": "/",
    "sameSite": "no_restriction",
    "secure": True,
    "session": False,
    "storeId": "firefox-default",
    "value": "canary",
}


def read(content: str | bytes | list[Any] | dict[str, Any], url: str | None = URL) -> Login:
    if isinstance(content, list | dict):
        content = json.dumps(content)
    return read_login_file(content.encode() if isinstance(content, str) else content, url=url, now=NOW)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n# a comment\n"])
@pytest.mark.parametrize("head", ["", "# Netscape HTTP Cookie File\n", "\ufeff# Netscape\r\n\r\n"])
def test_netscape_file_is_read(head: str, end: str) -> None:
    """With or without its first line, and with any ends of lines."""
    assert read(f"{head}{LINE}{end}").state.cookies == (SESSIONID,)


def test_netscape_fields_have_their_meaning() -> None:
    """A cookie of one host has no dot; one without a time ends with the browser; a value may be empty."""
    lines = [LINE, "www.tiktok.com\tFALSE\t/a\tFALSE\t0\tone\t", ".www.tiktok.com\tfalse\t/\tfalse\t0\ttwo"]
    _, one, two = read("\n".join(lines)).state.cookies
    assert one == Cookie(name="one", value="", domain="www.tiktok.com", path="/a")
    assert (two.domain, two.expires, two.value) == ("www.tiktok.com", -1, "")


def test_export_of_an_extension_is_read() -> None:
    """A list of cookies, or an object with one."""
    for content in ([EXPORTED], {"url": URL, "cookies": [EXPORTED]}):
        [cookie] = read(content).state.cookies
        assert cookie == Cookie(**{**_fields(SESSIONID), "expires": LATER + 0.5})
    host_only = EXPORTED | {"name": "b", "domain": "www.tiktok.com", "hostOnly": True, "session": True}
    last = read([EXPORTED, host_only]).state.cookies[1]
    assert (last.domain, last.expires) == ("www.tiktok.com", -1)
    milliseconds = read([EXPORTED | {"expirationDate": LATER * 1000}]).state.cookies[0]
    assert milliseconds.expires == LATER


def _fields(cookie: Cookie) -> dict[str, Any]:
    return {name: getattr(cookie, name) for name in cookie.__struct_fields__}


def test_storage_state_is_read_with_what_sites_keep() -> None:
    """As Playwright writes it."""
    databases = [{"name": "db", "version": 1, "stores": []}]
    state = {
        "cookies": [
            {"name": "sessionid", "value": "canary", "domain": ".tiktok.com", "path": "/", "expires": LATER,
             "httpOnly": True, "secure": True, "sameSite": "None"}
        ],
        "origins": [
            {"origin": "https://www.tiktok.com", "localStorage": [{"name": "k", "value": "v"}],
             "indexedDB": databases},
            {"origin": "https://other.test", "localStorage": []},
        ],
    }  # fmt: skip
    login = read(state)
    assert login.state.cookies == (SESSIONID,)
    item = Item(name="k", value="v")
    assert login.state.origins == (
        Origin(origin="https://www.tiktok.com", local_storage=(item,), indexed_db=tuple(databases)),
    )
    assert login.left_out == 1
    assert len(read(state, url=None).state.origins) == 2


@pytest.mark.parametrize("domain", ["example.com", ".nottiktok.com", "tiktok.com.evil.test"])
def test_other_sites_are_left_out(domain: str) -> None:
    """Unless all are asked for."""
    content = f"{LINE}\n{domain}\tFALSE\t/\tTRUE\t{LATER}\tother\tx"
    login = read(content)
    assert (login.state.cookies, login.left_out) == ((SESSIONID,), 1)
    assert len(read(content, url=None).state.cookies) == 2


def test_what_is_odd_of_other_sites_is_none_of_ours() -> None:
    """A browser's export has all kinds of things; the user could not mend them."""
    odd = [
        EXPORTED | {"domain": "other.test", **what} for what in ({"name": ""}, {"path": "x"}, {"value": "\n"})
    ]
    assert read([*odd, EXPORTED]).left_out == 3
    for wrong, why in zip(odd, ("has no name", "has a path", "has characters"), strict=True):
        with pytest.raises(LoginFileInvalid, match=f"Cookie 1 {why}"):
            read([wrong, EXPORTED], url=None)
    for domain in ("com", "a@tiktok.com.evil.test", ".", "a\0b.test"):
        assert read([EXPORTED, EXPORTED | {"domain": domain}]).left_out == 1
        with pytest.raises(LoginFileInvalid, match=r"Cookie 2 has (no|a) domain"):
            read([EXPORTED, EXPORTED | {"domain": domain}], url=None)


def test_many_cookies_take_no_time() -> None:
    """Their number is limited, and so is what each costs: a daemon reads what others send."""
    lines = [LINE.replace("sessionid", f"c{number}") for number in range(MAX_COOKIES - 1)]
    began = time.process_time()
    assert len(read("\n".join([LINE, *lines])).state.cookies) == MAX_COOKIES
    assert time.process_time() - began < patience(1)
    with pytest.raises(LoginFileInvalid, match=f"{MAX_COOKIES + 1} cookies, and {MAX_COOKIES} are allowed"):
        read("\n".join([LINE, LINE, *lines]))


def test_expired_cookies_are_named_and_left_out() -> None:
    """They would do nothing."""
    login = read(f"{LINE}\n.tiktok.com\tTRUE\t/\tTRUE\t1700000000\told\tx")
    assert (login.state.cookies, login.expired) == ((SESSIONID,), ("old",))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("hello", "Line 1 has 1 fields, and a cookie has 7"),
        (f"{LINE}\n\nx\ty", "Line 3 has 2 fields"),
        (LINE.replace("TRUE\t/", "yes\t/"), "Line 1: the second field is neither TRUE nor FALSE"),
        (LINE.replace("/\tTRUE", "/\t1"), "Line 1: the fourth field is neither"),
        (LINE.replace(str(LATER), "soon"), "Line 1: the fifth field is not a time"),
        (LINE.replace(str(LATER), "inf"), "Line 1 ends at no time"),
        (LINE.replace("\tsessionid\t", "\t\t"), "Line 1 has no name"),
        (LINE.replace("\t/\t", "\tx\t"), "Line 1 has a path that does not begin with /"),
        (LINE + "\x00", "Line 1 has characters that no cookie can have"),
        (LINE.encode() + b"\n\xff", "Line 2 is not UTF-8"),
        ("{", "The JSON has no cookies"),
        ("{}", "The JSON has no cookies"),
        ("[1]", r"The JSON has no cookies .*\$\[0\]"),
        ([EXPORTED, {"name": "x"}], r"`value` - at `\$\[1\]`"),
        ([EXPORTED | {"name": ""}], "Cookie 1 has no name"),
        ({"cookies": [EXPORTED], "origins": [{"origin": 1}]}, r"\$.origins\[0\].origin"),
        ("[" * 100_000, "nested too deeply|has no cookies"),
        (b" " * (MAX_BYTES + 1), f"The file has {MAX_BYTES + 1} bytes"),
        (LINE.replace("sessionid", "a;b"), "Line 1 has characters"),
        (LINE.replace("canary", "a;canary"), "Line 1 has characters"),
        (LINE.replace("canary", "c" * 5000), "Line 1 has more than 4096 bytes"),
        (LINE.replace(".tiktok.com", "a b.tiktok.com"), "Line 1 has a domain that no site can have"),
        (
            {"cookies": [EXPORTED], "origins": [{"origin": "javascript://www.tiktok.com/"}]},
            "Origin 1 is not of the form https://host",
        ),
        ("", r"no login at www.tiktok.com that lasts: none of sessionid, sessionid_ss, sid_tt is in it"),
        (LINE.replace(str(LATER), "1700000000"), r"sessionid expired on 2023-11-14 22:13 UTC"),
        (LINE.replace(str(LATER), "0"), "sessionid ends with the browser"),
        (LINE.replace(".tiktok.com\tTRUE", "m.tiktok.com\tFALSE"), "none of sessionid"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(content: str | bytes | list[Any], why: str) -> None:
    """And no value is in the text."""
    with pytest.raises(LoginFileInvalid, match=why) as caught:
        read(content)
    assert "canary" not in str(caught.value)


@given(st.binary(max_size=200) | st.text('\t\n#TRUEFALSE01./a[]{}":,', max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Nothing else comes out."""
    for url in (URL, None):
        with contextlib.suppress(LoginFileInvalid):
            assert isinstance(read(content, url), Login)


def test_no_value_is_in_the_text_of_a_login() -> None:
    """It could be in an error or a log."""
    state = {
        "cookies": [EXPORTED],
        "origins": [{"origin": URL.rstrip("/"), "localStorage": [{"name": "k", "value": "canary"}]}],
    }
    assert "canary" not in repr(read(state))
