"""Actions and readings as JSON: what is taken, what is refused, and that the refusal names the field."""

import contextlib
import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.actions import actions, readings
from greenroom.actors.actions.decoding import (
    MAX_ACTIONS,
    InvalidOperation,
    decode_operation,
    encode_operation,
    read_actions,
)


def decode_actions(body: bytes) -> tuple[actions.Action, ...]:
    """Return the actions in a request's body."""
    return read_actions(msgspec.json.decode(body))


# One of each kind, with every field of its own.
EACH: list[dict[str, Any]] = [
    {"kind": "navigate", "url": "https://a.example/x?y#z", "wait_until": "commit"},
    {"kind": "back"},
    {"kind": "forward"},
    {"kind": "reload", "timeout": 60},
    {"kind": "click", "target": "e5", "button": "right", "modifiers": ["Shift"], "double": True},
    {"kind": "type", "target": "#a", "text": "words", "submit": True, "slowly": True},
    {"kind": "fill_form", "fields": [{"target": "e1", "value": "x"}, {"target": "e2", "value": True}]},
    {"kind": "press", "key": "Enter", "target": "e5"},
    {"kind": "hover", "target": "e5", "page": "p2"},
    {"kind": "select_option", "target": "e5", "values": ["a", "b"]},
    {"kind": "check", "target": "e5"},
    {"kind": "uncheck", "target": "e5"},
    {"kind": "drag", "target": "e5", "to": "e6"},
    {"kind": "scroll", "target": "e5", "dx": 1, "dy": -200.5},
    {"kind": "wait_for", "text": "a", "text_gone": "b", "target": "e1", "url": "**/x", "seconds": 1},
    {"kind": "evaluate", "expression": "x => x", "arg": {"a": [1, None, "b"]}},
    {"kind": "upload", "target": "e5", "files": ["a.txt"]},
    {"kind": "dialog", "accept": False, "text": "no"},
    {"kind": "page_new", "url": "about:blank"},
    {"kind": "page_select", "page": "p1"},
    {"kind": "page_close"},
]


@pytest.mark.parametrize("given_action", EACH, ids=[action["kind"] for action in EACH])
def test_action_survives_the_way_to_its_host(given_action: dict[str, Any]) -> None:
    """All of its fields arrive; what is left out has its default."""
    [action] = decode_actions(json.dumps(given_action).encode())
    assert decode_operation(encode_operation(action)) == action
    sent = json.loads(encode_operation(action))
    assert {name: sent[name] for name in given_action} == given_action


def test_every_kind_is_here() -> None:
    """The list above names each kind of the union."""
    kinds = [kind.__struct_config__.tag for kind in get_args(actions.Action)]
    assert sorted(kinds) == sorted(action["kind"] for action in EACH)


@pytest.mark.parametrize("kind", get_args(readings.Reading))
def test_reading_survives_the_way_to_its_host(kind: type[readings.Reading]) -> None:
    """What is read is described as actions are."""
    fields: Any = {readings.Download: {"name": "a"}, readings.Fetch: {"url": "https://a.example/"}}.get(
        kind, {}
    )
    reading = kind(page="p3", timeout=2.5, **fields)
    assert decode_operation(encode_operation(reading)) == reading


@pytest.mark.parametrize("alias", ["ref", "selector"])
def test_aliases_of_target_are_understood(alias: str) -> None:
    """Other tools call it so, in actions and in the fields of a form."""
    [click] = decode_actions(json.dumps({"kind": "click", alias: "e5"}).encode())
    assert click == actions.Click(target="e5")
    [form] = decode_actions(
        json.dumps({"kind": "fill_form", "fields": [{alias: "e1", "value": ""}]}).encode()
    )
    assert form == actions.FillForm(fields=(actions.Field(target="e1", value=""),))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("[]", "Expected one action"),
        ('{"actions": []}', "1 to 100 actions - at `$.actions`"),
        ('{"actions": [{"kind": "back"}], "more": 1}', "Expected one action"),
        (json.dumps({"actions": [{"kind": "back"}] * (MAX_ACTIONS + 1)}), "1 to 100 actions"),
        ('{"kind": "clik"}', "'clik' - at `$.kind`"),
        ('{"kind": "click"}', "missing required field `target`"),
        ('{"kind": "click", "target": ""}', "length >= 1 - at `$.target`"),
        ('{"kind": "click", "target": "a", "ref": "b"}', "Only one of `target` and `ref`"),
        ('{"kind": "click", "target": "a", "tiemout": 3}', "unknown field `tiemout`"),
        ('{"kind": "click", "target": "a", "timeout": 0}', "> 0.0 - at `$.timeout`"),
        ('{"kind": "click", "target": "a", "timeout": 301}', "<= 300.0 - at `$.timeout`"),
        ('{"kind": "click", "target": "a", "page": "2"}', "a page, such as p1 - at `$.page`"),
        ('{"kind": "navigate", "url": "file:///etc/passwd"}', "an http or https URL - at `$.url`"),
        ('{"kind": "navigate", "url": "javascript:alert(1)"}', "an http or https URL - at `$.url`"),
        ('{"kind": "navigate", "url": "https://a.example/\\nx"}', "an http or https URL - at `$.url`"),
        ('{"kind": "page_new", "url": "view-source:https://a.example"}', "an http or https URL"),
        (
            '{"kind": "upload", "target": "a", "files": ["../../etc/passwd"]}',
            "a file's name - at `$.files[0]`",
        ),
        ('{"kind": "type", "target": "a", "text": 5}', "got `int` - at `$.text`"),
    ],
)
def test_wrong_action_is_refused_and_the_field_named(body: str, why: str) -> None:
    """The text is fit for a client."""
    with pytest.raises(InvalidOperation) as refused:
        decode_actions(body.encode())
    assert why in str(refused.value)


def test_every_wrong_action_of_several_is_named() -> None:
    """Not only the first: people fix them all at once."""
    body = {"actions": [{"kind": "back"}, {"kind": "x"}, {"kind": "click"}]}
    with pytest.raises(InvalidOperation) as refused:
        decode_actions(json.dumps(body).encode())
    assert "$.actions[1].kind" in str(refused.value)
    assert "$.actions[2]" in str(refused.value)


def test_values_built_in_python_are_checked_too() -> None:
    """A type checker sees most of it, but a host must never be sent what it can't read."""
    wrong: Any = 5
    with pytest.raises(InvalidOperation, match=r"\$\.target"):
        encode_operation(actions.Click(target=wrong))
    with pytest.raises(InvalidOperation):
        encode_operation(actions.Evaluate(expression="1", arg=object()))


@given(st.binary(max_size=200))
def test_any_bytes_are_actions_or_refused(body: bytes) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(InvalidOperation, msgspec.DecodeError, UnicodeDecodeError):
        decode_actions(body)


def test_what_is_typed_is_not_shown() -> None:
    """An action's repr may get into a log."""
    field = actions.Field(target="e1", value="hunter2")
    for shown in (actions.Type(target="e1", text="hunter2"), actions.FillForm(fields=(field,)), field):
        assert "hunter2" not in repr(shown)


@pytest.mark.parametrize(
    ("action", "seconds"),
    [
        (actions.Click(target="e1"), 5),
        (actions.Click(target="e1", timeout=7), 7),
        (actions.Navigate(url="https://a.example/"), 30),
        (actions.PageNew(), 30),
        (actions.WaitFor(seconds=20), 25),
        (actions.WaitFor(seconds=300), 300),
    ],
)
def test_time_limit_is_5_s_and_30_s_where_a_page_loads(action: actions.Action, seconds: float) -> None:
    """An action may name another. A wait for some seconds has time for them."""
    assert actions.timeout_of(action) == seconds
