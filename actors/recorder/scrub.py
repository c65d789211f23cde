"""Takes secrets out of texts. It imports neither Trio nor structlog, since hosts use it, too."""

import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "(hidden)"
# Shorter values would be found everywhere.
_MIN_CHARS = 4
# Tokens, keys and ids: long, without spaces, with a digit.
_OPAQUE = re.compile(r"(?=[\w+/=-]{0,40}\d)[\w+/=-]{24,}", re.ASCII)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}", re.ASCII)
# The part of an address that may hold anything.
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]{1,2000})[?#][^\s\"'<>]*", re.ASCII)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without `secrets`, and without what looks like a token, a query or an address of mail."""
    for secret in sorted({one for one in secrets if len(one) >= _MIN_CHARS}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _QUERY.sub(rf"\1?{HIDDEN}", text)
    text = _EMAIL.sub(HIDDEN, text)
    return _OPAQUE.sub(HIDDEN, text)
