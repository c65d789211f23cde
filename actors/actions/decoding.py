"""How operations become JSON, and JSON becomes operations."""

from typing import Any, cast

import msgspec

from greenroom.actors.actions.actions import Action, Operation
from greenroom.actors.actions.inputs import Input
from greenroom.actors.actions.readings import Reading
from greenroom.actors.plain_json import read_json

MAX_ACTIONS = 100
# `target` by other names, under which Playwright's MCP server and its users know it.
_ALIASES = ("ref", "selector")

# msgspec shows the pattern that a text should match: it means little to whoever sent the text.
_MEANINGS = {"[hH][tT]": "an http or https URL", "^p[1-9]": "a page, such as p1", "^[^/": "a file's name"}

_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class InvalidOperation(ValueError):
    """Not an operation; the text names each field that is wrong."""


def encode_operation(operation: Operation) -> str:
    """Return an operation as JSON. Raises `InvalidOperation` for fields of wrong types or out of bounds."""
    try:
        text = msgspec.json.encode(operation).decode()
        _to_operation(text)
    except (*_UNREADABLE, TypeError, ValueError) as exc:
        raise InvalidOperation(_explain(exc)) from exc
    return text


def decode_operation(text: str) -> Action | Reading:
    """Return the operation in `text`. Raises `InvalidOperation`."""
    try:
        return _to_operation(text)
    except _UNREADABLE as exc:
        raise InvalidOperation(_explain(exc)) from exc


def encode_input(given: Input) -> str:
    """Return what is done by hand as JSON. Raises `InvalidOperation` as `encode_operation` does."""
    try:
        text = msgspec.json.encode(given).decode()
        _to_input(text)
    except (*_UNREADABLE, TypeError, ValueError) as exc:
        raise InvalidOperation(_explain(exc)) from exc
    return text


def decode_input(text: str) -> Input:
    """Return what is to be done by hand. Raises `InvalidOperation`."""
    try:
        return _to_input(text)
    except _UNREADABLE as exc:
        raise InvalidOperation(_explain(exc)) from exc


def read_actions(given: Any) -> tuple[Action, ...]:
    """Return the actions in a request's JSON: one action, or several as `{"actions": [...]}`.

    Raises `InvalidOperation`, which names the first wrong field of every action.
    """
    if isinstance(given, dict) and "actions" not in given:
        return (_one_action(given, "$"),)
    if not isinstance(given, dict) or set(given) != {"actions"} or not isinstance(given["actions"], list):
        raise InvalidOperation('Expected one action, or `{"actions": [...]}`')
    if not 1 <= len(given["actions"]) <= MAX_ACTIONS:
        raise InvalidOperation(f"Expected 1 to {MAX_ACTIONS} actions - at `$.actions`")
    actions, wrong = [], []
    for index, action in enumerate(given["actions"]):
        try:
            actions.append(_one_action(action, f"$.actions[{index}]"))
        except InvalidOperation as exc:
            wrong.append(str(exc))
    if wrong:
        raise InvalidOperation("; ".join(wrong))
    return tuple(actions)


def _to_operation(text: str) -> Action | Reading:
    return msgspec.convert(read_json(text), cast("type[Action | Reading]", Action | Reading))


def _to_input(text: str) -> Input:
    return msgspec.convert(read_json(text), cast("type[Input]", Input))


def _one_action(given: Any, place: str) -> Action:
    try:
        return msgspec.convert(_with_target(given), cast("type[Action]", Action))
    except (*_UNREADABLE, InvalidOperation) as exc:
        raise InvalidOperation(_explain(exc, place)) from exc


def _with_target(given: Any) -> Any:
    """Return the action, and the fields in it, with each alias of `target` by that name."""
    if not isinstance(given, dict):
        return given
    named = [name for name in ("target", *_ALIASES) if name in given]
    if len(named) > 1:
        raise InvalidOperation(f"Only one of {' and '.join(f'`{name}`' for name in named)} is possible")
    renamed = {"target" if name in _ALIASES else name: value for name, value in given.items()}
    if isinstance(renamed.get("fields"), list):
        renamed["fields"] = [_with_target(field) for field in renamed["fields"]]
    return renamed


def _explain(exc: Exception, place: str = "$") -> str:
    """Return what is wrong, and where, without quoting what was sent more than a kind or a field's name."""
    if isinstance(exc, RecursionError):
        return "JSON is nested too deeply"
    if isinstance(exc, UnicodeError):
        return "JSON is malformed: not Unicode"
    what, _, path = str(exc).partition(" - at `$")
    what, _, pattern = what.partition(" matching regex ")
    if meaning := next((meaning for sign, meaning in _MEANINGS.items() if sign in pattern), ""):
        what = f"Expected {meaning}"
    return (
        f"{what[:300]} - at `{place}{path.removesuffix('`')[:300]}`" if path or place != "$" else what[:300]
    )
