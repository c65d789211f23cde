"""docs/watching.md is true: its tables name what there is, and its numbers are the code's."""

import re
from pathlib import Path
from typing import get_args

import pytest

from greenroom.actors.events import EventKind, HostChange
from greenroom.actors.lifecycle import SessionState
from greenroom.actors.session.control import MAX_TTL_S
from greenroom.actors.session.watchers import MAX_BY_ONE_WAY, MAX_WATCHERS
from greenroom.supervisor.events import REMEMBERED
from greenroom.web.http.errors import ANSWERS
from greenroom.web.http.event_reader import HEARTBEAT_S
from greenroom.web.http.json_bodies import decode
from greenroom.web.http.links import MAX_LINKS
from greenroom.web.http.schemas import ControlRequest, LinkRequest
from greenroom.web.http.watch_messages import FrameMessage, RefusedMessage, WatchRequest, type_of
from greenroom.web.http.watching import MALFORMED, MAX_MESSAGE_CHARS, MAX_WAITING, OVER, REVOKED, TOO_SLOW

PAGE = Path(__file__).parents[3].joinpath("docs", "watching.md").read_text()
MESSAGES = [
    message for message in re.findall(r"^\| `(\{.*?\})` \|", PAGE, re.MULTILINE) if "..." not in message
]


def test_every_event_is_in_the_table() -> None:
    """And the table names no other."""
    table = PAGE.partition("| type | when |")[2].partition("\n\n")[0]
    named, prefix = set(), ""
    for name in re.findall(r"`([\w.]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:])):
        prefix = prefix if name.startswith(".") else name.partition(".")[0]
        named.add(f"{prefix}{name}" if name.startswith(".") else name)
    states = {state.value for state in SessionState}
    kinds = {kind.value for kind in EventKind if kind is not EventKind.STATE}
    hosts = {f"host.{change.value}" for change in HostChange}
    assert named == {f"session.{what}" for what in states | kinds} | hosts | {"gap", "dropped"}


@pytest.mark.parametrize("message", MESSAGES)
def test_message_of_the_tables_is_one(message: str) -> None:
    """Those to the daemon are accepted as they are."""
    if type_of(message) == "frame":
        assert decode(message, FrameMessage).seq == 3
    elif type_of(message) != "heartbeat":
        assert decode(message, WatchRequest)  # type: ignore[arg-type]


def test_every_message_to_the_daemon_is_in_the_table() -> None:
    """By its type."""
    named = {type_of(message) for message in re.findall(r"`(\{\"type\".*?\})`", PAGE)}
    assert {str(kind.__struct_config__.tag) for kind in get_args(WatchRequest)} <= named
    fields = re.findall(r'"(\w+)":', PAGE.partition('{"type": "refused"')[2].partition("}")[0])
    assert ["type", *fields] == list(RefusedMessage.__struct_fields__)


def test_every_end_of_a_conversation_is_in_the_table() -> None:
    """By its code."""
    table = PAGE.partition("| code | why |")[2].partition("\n\n")[0]
    codes = {int(code) for code in re.findall(r"^\| (\d+) ", table, re.MULTILINE)}
    assert codes == {farewell.code for farewell in (OVER, MALFORMED, REVOKED, TOO_SLOW)}


def test_examples_of_bodies_are_accepted() -> None:
    """As they are on the page."""
    for body in re.findall(r"`(\{\"holder\".*?\})`", PAGE):
        decode(body, ControlRequest)
    for body in re.findall(r"`(\{\"mode\".*?\})`", PAGE):
        decode(body, LinkRequest)


def test_numbers_and_codes_are_those_of_the_code() -> None:
    """What a client has to reckon with."""
    for text in (
        f"{MAX_WATCHERS} can watch a session at a time, and {MAX_BY_ONE_WAY} of them by one link",
        f"{MAX_WAITING} things by hand\ncan wait",
        f"up to {MAX_LINKS} links",
        f"over {MAX_MESSAGE_CHARS:,} characters",
        f"the last {REMEMBERED:,}.",
        f"a comment comes every {HEARTBEAT_S:g} s",
        f"and {MAX_TTL_S:g} at most",
    ):
        assert text in PAGE
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", PAGE)) <= {answer.code for answer in ANSWERS.values()}
