"""The default selectors, and a check, without a browser, of whether a text can be a selector."""

import re
from collections.abc import Mapping
from typing import Final

import cssselect

DEFAULT_SELECTORS: Final[Mapping[str, str]] = {
    "logged_in": "[data-e2e='profile-avatar']",
    "logged_out": "[data-e2e='login-button']",
    "uncertain": "body",
}

# What Playwright accepts besides CSS, by the engine that it names or by its first characters.
_OTHER_ENGINES: Final = re.compile(
    r"(?:text|xpath|id|role|nth|visible|has|has-text|has-not|has-not-text|data-test(?:id|-id)?"
    r"|_react|_vue|left-of|right-of|above|below|near|internal:[\w-]+)(?::light)?\s*=\s*\S|\(*(?:\.\.|//)|''$"
)
_STRING: Final = re.compile(r"""(["'])(?:\\.|(?!\1)[^\\\n])*\1""", re.DOTALL)
# The innermost brackets of a pseudo-class or element. Only a browser can judge their content.
_ARGUMENTS: Final = re.compile(r"(:[\w-]+)\([^()]*\)")
_NO_ID: Final = re.compile(r"#-?\d")
_CASE_FLAG: Final = re.compile(r"\s+[iIsS]\s*\]")


def is_selector(text: str) -> bool:
    """Return whether a browser might accept `text`: CSS or Playwright's selectors, possibly chained by `>>`.

    False is certain, True is not: the name and arguments of a pseudo-class are not checked, and a selector of
    Playwright's other engines only has to be non-empty.
    """
    return all(_is_part(part.strip()) for part in _STRING.sub("''", text).split(">>"))


def _is_part(part: str) -> bool:
    part = part.removeprefix("css=").strip()
    if _OTHER_ENGINES.match(part):
        return True
    if _NO_ID.search(part):  # cssselect would take it for an id
        return False
    part = part.lstrip(">+~ ")  # Playwright allows a leading combinator
    before = ""
    while before != part:
        before, part = part, _ARGUMENTS.sub(r"\1", part)
    try:
        return bool(cssselect.parse(_CASE_FLAG.sub("]", part)))
    except cssselect.SelectorSyntaxError:
        return False
