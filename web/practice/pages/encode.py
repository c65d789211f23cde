"""The ways in which pages write their data into script elements. The output of each is safe inside one.

Heavy parts are encoded once and spliced in: text that is already `Encoded` is not encoded again.
"""

import json
import re
from collections.abc import Callable, Mapping

import attrs

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_ESCAPED_IN_LITERALS = re.compile(r"[\x00-\x1f'\\<\x7f-\xff\u2028\u2029]")
_RESERVED = frozenset(["default", "delete", "in", "new", "return", "this", "true", "false", "null"])
Encoder = Callable[[object], str]


@attrs.frozen
class Encoded:
    """Text that an encoder made. `members` are an object's, without the braces, to splice into another."""

    members: str


class Undefined:
    """JavaScript's undefined. Only `to_literal` can write it."""


UNDEFINED = Undefined()


def to_json(value: object) -> str:
    """Write minified JSON. Slashes and less-than signs are escaped, so it can't contain an end tag."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("/", "\\u002F").replace("<", "\\u003C")


def to_escaped_json(value: object) -> str:
    """Write JSON as HTML text with numeric entities, which browsers don't decode in a script element."""
    text = to_json(value).replace("&", "&amp;")
    return text.replace('"', "&#34;").replace("'", "&#39;").replace(">", "&gt;")


def to_named_escaped_json(value: object) -> str:
    """Write JSON as HTML text with named entities."""
    return to_escaped_json(value).replace("&#34;", "&quot;")


def to_literal(value: object) -> str:
    r"""Write a minified JavaScript literal that is not JSON.

    It has bare keys, single quotes, !0 and !1, undefined, 5e3, \x escapes and trailing commas.
    """
    match value:
        case bool():
            return "!0" if value else "!1"
        case None:
            return "null"
        case Undefined():
            return "undefined"
        case int():
            return f"{value // 1000}e3" if value and value % 1000 == 0 else str(value)
        case str():
            return "'" + _ESCAPED_IN_LITERALS.sub(_escape, value) + "'"
        case Mapping():
            members = (f"{_literal_key(str(key))}:{to_literal(member)}," for key, member in value.items())
            return "{" + "".join(members) + "}"
        case list() | tuple():
            return "[" + "".join(f"{to_literal(member)}," for member in value) + "]"
        case _:
            raise TypeError(f"no literal for {type(value).__name__}")


def object_of(encode: Encoder, *parts: Mapping[str, object] | Encoded) -> str:
    """Write one object with the members of all parts, in order."""
    comma = "," if encode is not to_literal else ""
    return "{" + comma.join(_members(encode, part) for part in parts if part) + "}"


def member_of(encode: Encoder, key: str, value: str) -> Encoded:
    """Return the single member `key`, with a value that is already encoded."""
    opening = encode({key: 0}).strip("{},").removesuffix("0")
    return Encoded(opening + value + ("," if encode is to_literal else ""))


def encoded(encode: Encoder, value: Mapping[str, object]) -> Encoded:
    """Encode an object's members once, to splice into any number of objects."""
    return Encoded(_members(encode, value))


def _members(encode: Encoder, part: Mapping[str, object] | Encoded) -> str:
    return part.members if isinstance(part, Encoded) else encode(part)[1:-1]


def _literal_key(key: str) -> str:
    return key if _IDENTIFIER.fullmatch(key) and key not in _RESERVED else to_literal(key)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in "'\\":
        return "\\" + character
    if character == "\n":
        return "\\n"
    return f"\\x{ord(character):02X}" if ord(character) < 256 else f"\\u{ord(character):04X}"
