"""Shortens Playwright's message about a browser that does not start."""

import re

# Lines that the browser itself wrote, and the box that Playwright draws around its advice.
_WRITTEN = re.compile(r"\[pid=\d+\]\[err\] (?P<words>.*\S)")
_FRAME = re.compile("[\u2500-\u259f]+")
_MAX_LINES = 3


def unframe(text: str) -> str:
    """Return `text` without the boxes that Playwright draws around its messages."""
    if not _FRAME.search(text):
        return text
    lines = (_FRAME.sub("", line).strip() for line in text.splitlines())
    return "\n".join(filter(None, lines))


def plain_reason(detail: str) -> str:
    """Return the reason in one line: the browser's last lines or, without any, Playwright's first line."""
    written = list(dict.fromkeys(match["words"] for match in _WRITTEN.finditer(detail)))
    if written:
        return "; ".join(written[-_MAX_LINES:])
    return next((line.strip() for line in unframe(detail).splitlines() if line.strip()), "")
