"""Shortens Playwright's message about a browser that does not start."""

import re

# Lines that the browser itself wrote, and the box that Playwright draws around its advice.
_WRITTEN = re.compile(r"\[pid=\d+\]\[err\] (?P<words>.*\S)")
_DRAWN = re.compile(r"[\u2500-\u257f]")
_MAX_LINES = 3


def plain_reason(detail: str) -> str:
    """Return the reason in one line: the last lines of the browser, or else the first one of Playwright."""
    written = list(dict.fromkeys(match["words"] for match in _WRITTEN.finditer(detail)))
    if written:
        return "; ".join(written[-_MAX_LINES:])
    lines = (_DRAWN.sub("", line).strip() for line in detail.splitlines())
    return next((line for line in lines if line), "")
