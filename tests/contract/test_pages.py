"""The pages about the HTTP side say what it does."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from greenroom.web.cli import main
from greenroom.web.http.error_guide import GUIDE
from greenroom.web.http.errors import CATALOGUE
from tests.contract import PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_up_to_date(page: Path) -> None:
    """It is what the code gives: each error code, and each path, and no others."""
    assert page.read_text(encoding="utf-8") == PAGES[page](), f"{page.name} is out of date: run `make docs`"


def test_guide_has_advice_for_every_code_and_no_other() -> None:
    """If you add an error, say here why it comes and what to do."""
    assert GUIDE.keys() == CATALOGUE.keys()
    for code, advice in GUIDE.items():
        assert advice.cause.endswith("."), code
        assert advice.cure.endswith("."), code
        assert advice.example, code


def test_command_prints_the_description_or_writes_it(tmp_path: Path) -> None:
    """Both are the same as the copy in docs."""
    copy = next(page for page in PAGES if page.suffix == ".json").read_text(encoding="utf-8")
    printed = CliRunner().invoke(main, ["openapi"])
    assert (printed.exit_code, printed.stdout) == (0, copy)
    written = CliRunner().invoke(main, ["openapi", "--output", str(tmp_path / "it.json")])
    assert (written.exit_code, written.stdout) == (0, "")
    assert (tmp_path / "it.json").read_text(encoding="utf-8") == copy


def test_command_says_why_it_can_not_write(tmp_path: Path) -> None:
    """In one line."""
    refused = CliRunner().invoke(main, ["openapi", "--output", str(tmp_path / "none" / "it.json")])
    assert refused.exit_code == 1
    assert "No such file" in refused.stderr
