"""Whether a text can be a selector: told before a browser runs, and without one."""

import re
from typing import Final

import cssselect

# What Playwright takes besides CSS, by the engine that it names, or by how it begins.
_OTHER_ENGINES: Final = re.compile(
    r"(?:text|xpath|id|role|nth|visible|has|has-text|has-not|has-not-text|data-test(?:id|-id)?"
    r"|_react|_vue|left-of|right-of|above|below|near|internal:[\w-]+)(?::light)?\s*=\s*\S|\(*(?:\.\.|//)|''$"
)
_STRING: Final = re.compile(r"""(["'])(?:\\.|(?!\1)[^\\\n])*\1""", re.DOTALL)
# Innermost brackets of a pseudo-class or element: what stands in them is a browser's to judge.
_ARGUMENTS: Final = re.compile(r"(:[\w-]+)\([^()]*\)")
_NO_ID: Final = re.compile(r"#-?\d")
_CASE_FLAG: Final = re.compile(r"\s+[iIsS]\s*\]")


def is_selector(text: str) -> bool:
    """Return whether a browser might take `text`: CSS, or a selector of Playwright's, also chained by `>>`.

    False is certain, True is not: the arguments of a pseudo-class are not looked at, nor is its name, and of
    Playwright's other engines only that something is asked of them.
    """
    return all(_is_part(part.strip()) for part in _STRING.sub("''", text).split(">>"))


def _is_part(part: str) -> bool:
    part = part.removeprefix("css=").strip()
    if _OTHER_ENGINES.match(part):
        return True
    if _NO_ID.search(part):  # cssselect takes it for one
        return False
    part = part.lstrip(">+~ ")  # Playwright puts the page before a combinator
    before = ""
    while before != part:
        before, part = part, _ARGUMENTS.sub(r"\1", part)
    try:
        return bool(cssselect.parse(_CASE_FLAG.sub("]", part)))
    except cssselect.SelectorSyntaxError:
        return False
