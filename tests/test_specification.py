"""Checks docs/specification.md: every place that it names exists."""

import importlib
import re
from pathlib import Path

import pytest

TABLES = Path(__file__).parents[1] / "docs" / "specification.md"
ROW = re.compile(r"^\| (?P<part>[^|]+) \| `(?P<place>[\w.]+)` \|", re.MULTILINE)
ROWS = [(match["part"], match["place"]) for match in ROW.finditer(TABLES.read_text())]


def find(place: str) -> object:
    """Return the module, or the object in one, of this name. Raises ImportError or AttributeError."""
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError:
        module, _, name = place.rpartition(".")
        return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("place", [place for _part, place in ROWS])
def test_place_named_for_a_part_exists(place: str) -> None:
    """If you rename or move a part, update the page."""
    assert find(place)


def test_every_part_of_the_specification_has_a_place() -> None:
    """Every part is listed, and parts said to have kept their names have."""
    named = {
        "TiktokService",
        "TiktokExecutor",
        "AbstractBrowsingExecutor",
        "LoginDetector",
        "CamoufoxArgsBuilder",
        "ScraplingFetcherAdapter",
        "TikTokSessionConfig",
        "TikTokSessionRequest",
        "TikTokSessionResponse",
    }
    places = {part.strip("`"): place for part, place in ROWS}
    assert named <= set(places)
    kept = named - {"TiktokService", "TiktokExecutor", "AbstractBrowsingExecutor"}
    assert {part: places[part].rpartition(".")[2] for part in kept} == {part: part for part in kept}
    assert any(place.startswith("tests.") for place in places.values())
