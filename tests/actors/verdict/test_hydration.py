"""The viewer object: its places, its spellings, and what only looks like it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.verdict import LoginReason, LoginState, analyse_html
from greenroom.actors.verdict.data import member
from greenroom.actors.verdict.hydration import read_viewer
from tests.actors.verdict.builders import (
    LOGGED_IN,
    LOGGED_OUT,
    NOBODY,
    SOMEBODY,
    UNCERTAIN,
    UNIVERSAL,
    VIEWER,
    code,
    judge,
    script,
)

PLACES = {
    UNIVERSAL: '{"__DEFAULT_SCOPE__":{"webapp.app-context":{"user":%s}}}',
    "SIGI_STATE": '{"AppContext":{"appContext":{"user":%s}}}',
    "__NEXT_DATA__": '{"props":{"initialProps":{"$user":%s}}}',
    "__Creator_Center_Context__": '{"commonAppContext":{"user":%s}}',
}
SIGI_DOLLAR = '{"AppContext":{"appContext":{"$user":%s}}}'
LITERAL = "{AppContext:{appContext:{user:%s,a:!0,b:void 0,c:undefined,}}}"
LITERAL_VIEWER = "{uid:'6812',uniqueId:'quiet\\x2eheron'}"
PROVEN = (LOGGED_IN, LoginReason.VIEWER_OBJECT)
ABSENT = (LOGGED_OUT, LoginReason.VIEWER_OBJECT)
UNREADABLE = (UNCERTAIN, LoginReason.UNREADABLE)
PADDING = "<p>" + "x" * 20_000


@pytest.mark.parametrize(("name", "data"), [*PLACES.items(), ("SIGI_STATE", SIGI_DOLLAR)])
def test_viewer_is_found_at_every_place(name: str, data: str) -> None:
    """The viewer, with the handle, is found on pages of every era."""
    page = script(name, data % VIEWER)
    assert judge(page) == PROVEN
    assert analyse_html(page).viewer == "quiet.heron"


@pytest.mark.parametrize(
    "user",
    [
        *("null", "{}", '{"uid":""}', '{"uid":"0"}', '{"uid":0}', "[]", '""', "false"),
        '{"uid":"","uniqueId":"","isNew":false,"region":"NL"}',
    ],
)
@pytest.mark.parametrize(("name", "data"), PLACES.items())
def test_nobody_at_the_place_is_logged_out(name: str, data: str, user: str) -> None:
    """Every way in which pages write an empty place is recognized."""
    page = script(name, data % user)
    assert judge(page) == ABSENT
    assert analyse_html(page).viewer is None


@pytest.mark.parametrize(
    "uid", ['"6812345678901234567"', "6812345678901234567", "12345678901234567890123", '"a.b-c"']
)
def test_uid_may_be_a_string_or_a_number(uid: str) -> None:
    """Pages write a uid as a string or a number, which may be longer than 64 bits."""
    assert judge(script(UNIVERSAL, PLACES[UNIVERSAL] % f'{{"uid":{uid}}}')) == PROVEN


@pytest.mark.parametrize(
    "text",
    [
        '{"__DEFAULT_SCOPE__":{"webapp.user-detail":{"userInfo":{"user":%s}}}}',
        '{"__DEFAULT_SCOPE__":{"webapp.app-context":{"other":{"user":%s}}}}',
        '{"webapp.app-context":{"user":%s}}',
        '{"__DEFAULT_SCOPE__":{"user":%s}}',
        '[{"__DEFAULT_SCOPE__":{"webapp.app-context":{"user":%s}}}]',
    ],
)
def test_user_at_another_place_is_not_the_viewer(text: str) -> None:
    """Above all, the profile that the page shows belongs to somebody else."""
    assert judge(PADDING + script(UNIVERSAL, text % VIEWER))[0] is not LOGGED_IN


def test_viewed_profile_next_to_nobody_is_logged_out() -> None:
    """A profile page without a login has a user, but no viewer."""
    data = json.loads(NOBODY)
    data["__DEFAULT_SCOPE__"]["webapp.user-detail"] = {"userInfo": {"user": json.loads(VIEWER)}}
    assert judge(script(UNIVERSAL, json.dumps(data))) == ABSENT


@pytest.mark.parametrize(
    "assignment",
    [
        "window['SIGI_STATE']=",
        'window["SIGI_STATE"] = ',
        "window.SIGI_STATE=",
        "var SIGI_STATE = ",
        "\n  ;self.SIGI_STATE=",
    ],
)
@pytest.mark.parametrize("id_", ["", "sigi-persisted-data", "SIGI_STATE"])
@pytest.mark.parametrize("rest", ["", ";window['SIGI_RETRY']={a:'b'};"])
def test_javascript_literal_is_read(assignment: str, id_: str, rest: str) -> None:
    """A script with any id or none may assign SIGI_STATE, in JavaScript or in JSON."""
    for literal in (LITERAL % LITERAL_VIEWER, PLACES["SIGI_STATE"] % VIEWER):
        page = code(f"{assignment}{literal}{rest}", id_)
        assert judge(page) == PROVEN
        assert analyse_html(page).viewer == "quiet.heron"
    assert judge(code(f"{assignment}{LITERAL % 'void 0'}{rest}", id_)) == ABSENT


@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_context_within_a_string_is_mere_text(quote: str) -> None:
    """A quoted context doesn't count, whether before, inside or instead of the real one."""
    start = f"{quote}AppContext:{{appContext:{{user:{{uid:1}}}}}}"
    assert judge(PADDING + code(f"SIGI_STATE={{a:{start}{quote}}};"))[0] is UNCERTAIN
    assert judge(PADDING + code(f"SIGI_STATE={{a:{start}"))[0] is UNCERTAIN
    fake = quote + (LITERAL % LITERAL_VIEWER).replace("'", "\\'") + "\\\\" + quote
    nobody = LITERAL % "{}"
    assert judge(code(f"SIGI_STATE={{a:{fake},b:{fake},{nobody[1:]};")) == ABSENT
    assert judge(PADDING + code(f"SIGI_STATE={{a:{fake}}};"))[0] is UNCERTAIN
    assert judge(code(f"SIGI_STATE={{a:{fake},{(LITERAL % LITERAL_VIEWER)[1:]};")) == PROVEN


@pytest.mark.parametrize(
    "text",
    [
        "if(window.SIGI_STATE){" + LITERAL % LITERAL_VIEWER + "}",
        "var a={};window.SIGI_STATE=" + LITERAL % LITERAL_VIEWER,
        "window.SIGI_STATE=window.SIGI_STATE||" + LITERAL % LITERAL_VIEWER,
        "console.log('SIGI_STATE')",
    ],
)
def test_other_code_is_not_data(text: str) -> None:
    """Only a script that begins with the assignment carries the data."""
    assert judge(PADDING + code(text))[0] is UNCERTAIN


def test_context_beyond_its_bound_is_unreadable() -> None:
    """A context that is longer than any real page's is not read."""
    data = f"SIGI_STATE={{AppContext:{{a:'{'x' * 300_000}',appContext:{{user:{LITERAL_VIEWER}}}}}}};"
    assert judge(code(data)) == UNREADABLE


def test_hardly_anything_but_quotes_is_unreadable() -> None:
    """A literal of a hundred thousand empty strings is abandoned before they are all parsed."""
    assert judge(code(f"SIGI_STATE={{a:[{'``,' * 100_000}],{(LITERAL % LITERAL_VIEWER)[1:]}")) == UNREADABLE


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\ud83d\\ud83d", "\\\\ud83d", "\\ud83d\\ude00"])
def test_half_an_emoji_in_the_data_is_harmless(half: str) -> None:
    """JavaScript cuts descriptions between the two halves of a character."""
    data = SOMEBODY.replace('{"webapp', f'{{"desc":"{half}","webapp')
    assert judge(script(UNIVERSAL, data)) == PROVEN
    literal = LITERAL % LITERAL_VIEWER.replace("}", f",desc:'{half}'}}")
    assert judge(code(f"SIGI_STATE={literal}")) == PROVEN


@pytest.mark.parametrize("quote", ["&quot;", "&#34;", "&#x22;"])
def test_escaped_data_is_read(quote: str) -> None:
    """TikTok Studio's data is escaped HTML inside a script, where no browser decodes it."""
    data = (PLACES["__Creator_Center_Context__"] % VIEWER).replace("}", ',"a":"&amp;quot;&lt;&gt;&#39;"}')
    assert judge(script("__Creator_Center_Context__", data.replace('"', quote))) == PROVEN
    assert judge(script("SIGI_STATE", (PLACES["SIGI_STATE"] % VIEWER).replace('"', quote))) == PROVEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{",
        SOMEBODY[:-2],
        SOMEBODY + "}",
        "{" * 100_000,
        '{"a":' * 50_000,
        "\ud800",
        "{'a':1}",
        "undefined",
    ],
)
@pytest.mark.parametrize("name", PLACES)
def test_hostile_data_is_unreadable_or_silent(name: str, text: str) -> None:
    """Broken and deeply nested data neither raises nor counts."""
    state, _ = judge(PADDING + script(name, text))
    assert state is UNCERTAIN


@pytest.mark.parametrize("first", [True, False])
def test_viewer_in_either_of_two_scripts_counts(first: bool) -> None:
    """A LIVE page carries data of two eras, one of them without its viewer."""
    empty = script("SIGI_STATE", PLACES["SIGI_STATE"] % "null")
    scripts = [script(UNIVERSAL, SOMEBODY), empty]
    assert judge("".join(scripts if first else scripts[::-1])) == PROVEN


def test_last_of_two_equal_keys_counts() -> None:
    """Of two equal keys the last one counts, as in a browser."""
    both = '{"user":%s,"user":%s}'
    for users, state in (((VIEWER, "null"), LOGGED_OUT), (("null", VIEWER), LOGGED_IN)):
        data = '{"__DEFAULT_SCOPE__":{"webapp.app-context":%s}}' % (both % users)
        assert judge(script(UNIVERSAL, data))[0] is state


@pytest.mark.parametrize("handle", ["<b>", "a" * 65, "ä", "\x1b[31m", "a b", ""])
def test_handle_of_another_form_is_left_out(handle: str) -> None:
    """A handle has letters, digits, dots and underscores; without it the login still counts."""
    user = json.dumps({"uid": "1", "uniqueId": handle})
    assert read_viewer(user.encode()) == ""


@given(st.binary(max_size=200), st.text(max_size=10))
def test_no_bytes_break_the_look_into_an_object(container: bytes, key: str) -> None:
    """In any bytes, a member is found or it isn't, without an error."""
    found = member(container, key)
    assert found is None or isinstance(found, bytes)
    assert read_viewer(container) is None or b"uid" in container


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_only_an_object_with_a_uid_is_a_viewer(user: object) -> None:
    """No other JSON at the place is taken for a viewer."""
    state: LoginState = judge(
        script(UNIVERSAL, PLACES[UNIVERSAL] % json.dumps(user).replace("<", "\\u003c"))
    )[0]
    assert (state is LOGGED_IN) <= (isinstance(user, dict) and bool(user.get("uid")))
