"""Reads what clients send as JSON."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from greenroom.actors.actions.decoding import InvalidOperation
from greenroom.web.http.errors import InvalidRequest

T = TypeVar("T")


def decode(body: bytes | str, type_: type[T]) -> T:
    """Return what a body holds. Raises `InvalidRequest`."""
    return checked(lambda: msgspec.json.decode(body, type=type_))


def checked(read: Callable[[], T]) -> T:
    """Return what `read` does. Raises `InvalidRequest` where the client's bytes are wrong."""
    try:
        return read()
    except RecursionError:
        raise InvalidRequest("JSON is nested too deeply") from None
    except (msgspec.MsgspecError, InvalidOperation) as exc:
        raise InvalidRequest(str(exc)) from exc
    except UnicodeError as exc:
        raise InvalidRequest("JSON is malformed: not UTF-8") from exc
