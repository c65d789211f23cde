"""How what a page says becomes bytes that every reader of JSON and UTF-8 takes."""

import json
from typing import Any

import msgspec


def to_json(value: Any) -> bytes:
    """Return a value as JSON, with `?` for lone surrogates, which texts of a page may hold."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value)
        return json.dumps(plain, ensure_ascii=False, allow_nan=False).encode(errors="replace")
