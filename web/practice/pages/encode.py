"""The ways in which pages write their data into script elements, all of them safe inside of one.

Text that is encoded already passes through every encoder as it is, so that heavy parts are encoded once.
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
    """Text that an encoder made: `members` of an object without its braces, to be spliced into one."""

    members: str


class Undefined:
    """JavaScript's undefined, which only a literal can say."""


UNDEFINED = Undefined()


def to_json(value: object) -> str:
    """Write minified JSON, with every slash and less-than sign escaped: no end tag can stand in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("/", "\\u002F").replace("<", "\\u003C")


def to_escaped_json(value: object) -> str:
    """Write JSON as HTML text with numbered entities, which a script element does not decode."""
    text = to_json(value).replace("&", "&amp;")
    return text.replace('"', "&#34;").replace("'", "&#39;").replace(">", "&gt;")


def to_named_escaped_json(value: object) -> str:
    """Write JSON as HTML text with named entities."""
    return to_escaped_json(value).replace("&#34;", "&quot;")


def to_literal(value: object) -> str:
    r"""Write a minified JavaScript literal that is no JSON.

    Bare keys, single quotes, !0 and !1, undefined, 5e3, \x escapes, trailing commas.
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
    """Write one object out of all parts, in their order."""
    comma = "," if encode is not to_literal else ""
    return "{" + comma.join(_members(encode, part) for part in parts if part) + "}"


def member_of(encode: Encoder, key: str, value: str) -> Encoded:
    """Return the one member `key` with a value that is encoded already."""
    opening = encode({key: 0}).strip("{},").removesuffix("0")
    return Encoded(opening + value + ("," if encode is to_literal else ""))


def encoded(encode: Encoder, value: Mapping[str, object]) -> Encoded:
    """Encode an object's members, to be spliced as often as wanted."""
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
