"""Takes secrets out of texts. It imports neither Trio nor structlog, since hosts use it, too.

Each pattern takes what it has looked at as a whole, so the time is that of the text's length: texts are a
page's, and a page may be hostile.
"""

import html
import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "(hidden)"
# Shorter values would be found everywhere.
_MIN_CHARS = 4
# Tokens, keys and ids: long, without spaces; with a digit, or very long.
_WORD = re.compile(r"(?<![\w+/=-])[\w+/=-]{24,}+", re.ASCII)
_DIGIT = re.compile(r"[0-9]")
_LONG_CHARS = 40
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++", re.ASCII)
_URL = re.compile(r"(?:https?|wss?)://[^\s\"'<>]++", re.IGNORECASE)
# A query without a host before it.
_QUERY = re.compile(r"\?[\w.%\[\]-]++=[^\s\"'<>]*+", re.ASCII)
_LOGIN = re.compile(r"\b(Basic|Bearer)\s++\S++", re.IGNORECASE)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without `secrets`, and without what looks like a token, a query or an address of mail."""
    known = {one for one in secrets if len(one) >= _MIN_CHARS}
    known |= {html.escape(one) for one in known} | {html.escape(one, quote=False) for one in known}
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _URL.sub(_plain_url, text)
    text = _QUERY.sub(f"?{HIDDEN}", text)
    text = _LOGIN.sub(rf"\1 {HIDDEN}", text)
    text = _EMAIL.sub(HIDDEN, text)
    return _WORD.sub(_plain_word, text)


def _plain_url(match: re.Match[str]) -> str:
    """Return an address without the parts that may hold anything: who asks, the query, the fragment."""
    scheme, _, rest = match[0].partition("://")
    host, slash, path = rest.partition("/")
    host, path_of_host = re.split(r"[?#]", host, maxsplit=1)[0], path
    plain = re.split(r"[?#]", path_of_host, maxsplit=1)[0]
    cut = f"?{HIDDEN}" if "?" in rest or "#" in rest else ""
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{plain}{cut}"


def _plain_word(match: re.Match[str]) -> str:
    word = match[0]
    return HIDDEN if len(word) >= _LONG_CHARS or _DIGIT.search(word) else word
