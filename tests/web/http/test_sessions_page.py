"""docs/sessions.md is true: its examples are accepted, and its tables name what there is."""

import re
from pathlib import Path
from typing import get_args

import pytest

from greenroom.actors.actions.actions import Action, Operation
from greenroom.web.http.app import create_app
from greenroom.web.http.errors import ANSWERS
from greenroom.web.metrics.metrics import Metrics
from tests.web.http.front import ALL, make_settings, open_front

PAGE = Path(__file__).parents[3].joinpath("docs", "sessions.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
ROWS = re.findall(r"^\| (`.*?) \| (.*?) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
async def test_example_is_carried_out(example: str) -> None:
    """As it is on the page."""
    async with open_front() as front:
        path = (await front.create()).headers["Location"]
        answer = await front.client.post(f"{path}/actions", content=example)
        assert answer.status_code == 200, answer.text


def test_every_action_is_in_the_table_with_all_its_fields() -> None:
    """And the table names no other."""
    described = {
        kind: set(re.findall(r"`(\w+)`", fields))
        for kinds, fields in ROWS
        if not kinds.startswith(("`GET", "`POST"))
        for kind in re.findall(r"`(\w+)`", kinds)
    }
    common = set(Operation.__struct_fields__)
    actions = {
        str(kind.__struct_config__.tag): set(kind.__struct_fields__) - common for kind in get_args(Action)
    }
    assert described.keys() == actions.keys()
    for kind, fields in actions.items():
        assert fields <= described[kind], kind
        assert described[kind] <= fields | {"page", "target", "value"}, kind


async def test_every_resource_is_in_the_table() -> None:
    """And the table names no other."""
    described = set(re.findall(r"`(GET|POST) \.\.\./([\w./{}]+)`", PAGE))
    async with open_front() as front:
        app = create_app(front.supervisor, make_settings(), ALL, Metrics(front.supervisor))
    real = {
        (method, rule.rule.partition("<session_id>/")[2].replace("<path:name>", "{name}"))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if "<session_id>/" in rule.rule and method in {"GET", "POST"}
    }
    assert described == real


def test_every_code_of_the_table_exists() -> None:
    """Codes are for programs."""
    codes = {answer.code for answer in ANSWERS.values()} | {"REQUEST_ENTITY_TOO_LARGE"}
    table = PAGE.partition("## Errors")[2]
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", table)) <= codes
