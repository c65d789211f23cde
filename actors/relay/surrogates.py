"""Lone surrogates in JSON: JavaScript's strings may have them, and UTF-8 may not."""

import re

# Escapes in JSON, a pair of surrogates first.
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_LONE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_REPLACEMENT = rb"\ufffd"


def without_lone_surrogates(text: bytes) -> bytes:
    """Return JSON with U+FFFD in place of each lone surrogate."""
    return _ESCAPE.sub(lambda found: _REPLACEMENT if _LONE.fullmatch(found[0]) else found[0], text)
