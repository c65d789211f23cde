"""Reads what clients send as JSON, or in the query."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from quart import request

from greenroom.actors.actions.decoding import InvalidOperation
from greenroom.actors.plain_json import read_json
from greenroom.web.http.errors import InvalidRequest

T = TypeVar("T")


def decode(body: bytes | str, type_: type[T]) -> T:
    """Return what a body holds. Raises `InvalidRequest`."""
    if not body.strip():
        raise InvalidRequest("The body is empty")
    return checked(lambda: msgspec.convert(read_json(body), type_))


def from_query(type_: type[T], **more: str) -> T:
    """Return what the request's query holds, beside `more`. Raises `InvalidRequest`."""
    for name, values in request.args.lists():
        if len(values) > 1:
            raise InvalidRequest(f"There is more than one `?{name}`")
        if values == ["null"]:  # which msgspec takes for None where a field may be left out
            raise InvalidRequest(f"Expected a value, or nothing at all - at `?{name}`")
    return checked(lambda: msgspec.convert({**more, **request.args.to_dict()}, type_, strict=False))


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
