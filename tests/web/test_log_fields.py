"""The allow-list of the log's fields: what is not in it is not written, and it has what the code logs."""

import ast
import json
import logging
from pathlib import Path

import pytest
import structlog

from greenroom.web.log_fields import FIELDS, keep_allowed
from greenroom.web.logs import configure_logging

CODE = Path(__file__).parents[2]
_LEVELS = {"debug", "info", "warning", "error", "exception", "log"}


def logged_names() -> set[str]:
    """Return the names of all fields that the code gives to a logger, or to what hands them on to one."""
    names: set[str] = set()
    for folder in ("actors", "supervisor", "web"):
        for path in (CODE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                is_log = isinstance(node.func, ast.Attribute) and node.func.attr in _LEVELS
                is_own = is_log and isinstance(node.func.value, ast.Name) and node.func.value.id == "_log"  # type: ignore[attr-defined]
                hands_on = isinstance(node.func, ast.Name) and node.func.id in {"report", "contain", "_warn"}
                if is_own or hands_on:
                    names |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return names


def test_every_field_that_the_code_logs_is_in_the_list() -> None:
    """To log another, add it there, and think about what can be in it."""
    names = logged_names()
    assert len(names) > 25
    assert names <= FIELDS


def test_field_that_is_not_in_the_list_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Its name stays, so that somebody notices."""
    before = structlog.get_config(), logging.getLogger().handlers[:]
    configure_logging()
    structlog.get_logger("greenroom.test").info("something", session_id="a", cookie="canary")
    line = json.loads(capsys.readouterr().err)
    structlog.configure(**before[0])
    logging.getLogger().handlers[:] = before[1]
    assert (line["session_id"], line["left_out"]) == ("a", ["cookie"])
    assert "canary" not in str(line)


def test_line_with_allowed_fields_is_left_alone() -> None:
    """Nothing is said of it."""
    fields = {"event": "something", "session_id": "a", "_record": object()}
    assert keep_allowed(None, "info", dict(fields)) == fields
