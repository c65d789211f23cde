"""Checks docs/bulkheads.md: every test that it names exists."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "bulkheads.md"


def test_every_test_that_is_named_exists() -> None:
    """The page may end long names with an ellipsis."""
    named = re.findall(r"`(test_\w+)(…?)`", PAGE.read_text())
    source = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    assert len(named) > 20
    missing = [name for name, cut in named if f"def {name}{'' if cut else '('}" not in source]
    assert missing == []
