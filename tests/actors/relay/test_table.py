"""The table, against the driver that is installed: its version, its methods, and what they take."""

import re
from pathlib import Path

import playwright
import pytest

from greenroom.actors.relay.table import ACTING, HIDDEN_TYPES, METHODS, PLAYWRIGHT, REFUSED_PARAMETERS

BUNDLE = Path(playwright.__file__).parent / "driver/package/lib/coreBundle.js"
# Parameters that look like places on the machine, and are none: names in pages, of cookies, of uploads.
_HARMLESS = {
    ("BrowserContext", "clearCookies", "path"),
    ("BrowserContext", "clearCookies", "pathRegexSource"),
    ("BrowserContext", "clearCookies", "pathRegexFlags"),
    # Its last part is used, below a folder of the session's; items can't lead out of that.
    ("BrowserContext", "createTempFiles", "rootDirName"),
    # A stream that the same client has written to.
    ("ElementHandle", "setInputFiles", "directoryStream"),
    ("Frame", "setInputFiles", "directoryStream"),
    # Where in the client's own program.
    ("Tracing", "tracingGroup", "file"),
}
_PLACE = re.compile(r"path|dir|file|folder", re.IGNORECASE)


@pytest.fixture(scope="module")
def parameters() -> dict[str, set[str]]:
    """By type and method, run together: the names in the driver's description of its parameters."""
    code = BUNDLE.read_text()
    found = re.findall(r"scheme\.([A-Z]\w*)Params = (.*?);\n", code, re.DOTALL)
    return {name: set(re.findall(r"(\w+): t[A-Z]", body)) for name, body in found}


def test_table_is_for_the_driver_that_is_installed() -> None:
    """A new version may have new ways out: read what has changed in its protocol, then say so here."""
    package = (BUNDLE.parents[1] / "package.json").read_text()
    version = re.search(r'"version": "(\d+\.\d+)', package)
    assert version is not None
    assert version[1] == PLAYWRIGHT


def test_driver_has_every_method_of_the_table(parameters: dict[str, set[str]]) -> None:
    """A wrong name would let nothing pass, and nobody would notice."""
    for type_, methods in METHODS.items():
        for method in methods:
            name = f"{type_}{method[0].upper()}{method[1:]}"
            # Handles of elements have the methods of other handles.
            inherited = name.replace("ElementHandle", "JSHandle", 1)
            assert name in parameters or inherited in parameters, name


def test_every_parameter_that_names_a_place_is_refused(parameters: dict[str, set[str]]) -> None:
    """So that a later version can't add one unnoticed."""
    for type_, methods in METHODS.items():
        for method in methods:
            names = parameters.get(f"{type_}{method[0].upper()}{method[1:]}", set())
            places = {name for name in names if _PLACE.search(name)}
            harmless = {name for name in places if (type_, method, name) in _HARMLESS}
            assert places - harmless <= REFUSED_PARAMETERS.get((type_, method), set()), (type_, method)


def test_refused_parameters_exist(parameters: dict[str, set[str]]) -> None:
    """Under exactly these names."""
    for (type_, method), names in REFUSED_PARAMETERS.items():
        assert names <= parameters[f"{type_}{method[0].upper()}{method[1:]}"]


def test_hidden_types_can_not_be_called() -> None:
    """Neither can those that launch programs or reach the network by themselves."""
    closed = {
        "Android",
        "APIRequestContext",
        "Browser",
        "BrowserType",
        "CDPSession",
        "Electron",
        "Playwright",
    }
    assert not METHODS.keys() & (HIDDEN_TYPES | closed)


# These end what was begun before, only look, or answer the browser.
_BESIDE = {
    "fulfill",
    "setTestIdAttributeName",
    "resolveLocatorHandlerNoReply",
    "unregisterLocatorHandler",
}


def test_whatever_acts_is_among_what_passes() -> None:
    """A method that can change a page is known to, by its group in Playwright's protocol or its name."""
    for type_, methods in ACTING.items():
        assert methods <= METHODS[type_]
    hand = re.compile(
        r"(?i)mouse|keyboard|touchscreen|click|fill|press|type|tap|drag|evaluate|goto|setContent"
    )
    for type_, methods in METHODS.items():
        known = {method for method in methods if hand.search(method)}
        assert known <= ACTING.get(type_, frozenset()) | _BESIDE, type_
