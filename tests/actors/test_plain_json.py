"""JSON of strangers: what is read, and that none of it takes long."""

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest

from greenroom.actors.actions.actions import Evaluate
from greenroom.actors.actions.decoding import decode_input, decode_operation, encode_operation
from greenroom.actors.errors import GreenroomError
from greenroom.actors.plain_json import read_json
from greenroom.actors.profile.login_files import MAX_BYTES, read_login_file

MOST = 3 << 20
WORST = b"1e308"


def filled(start: bytes, piece: bytes, end: bytes, most: int = MOST) -> bytes:
    """Return JSON of about `most` bytes, with `piece` as often as that takes."""
    return start + b",".join([piece] * (most // (len(piece) + 1))) + end


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":[1,-2.5,1e308,1E-400,null,true,"\\u00fc"]}', {"a": [1, -2.5, 1e308, 0.0, None, True, "ü"]}),
        ("0.1", 0.1),
        (b"123456789012345678.5", 123456789012345678.5),
        (b"1" * 30 + b"e-3", float("1" * 30 + "e-3")),
    ],
)
def test_values_are_those_of_python(text: bytes | str, value: object) -> None:
    """Numbers too are what the standard library makes of them."""
    assert read_json(text) == value


@pytest.mark.parametrize("text", [b"1e309", b"[-1e999]", b"NaN", b"[1,]", b"", b"{} x", b"1" * 5000])
def test_what_json_can_not_be_is_refused(text: bytes) -> None:
    """There is no infinity among the numbers."""
    with pytest.raises(msgspec.DecodeError):
        read_json(text)


def read_login(text: bytes) -> object:
    return read_login_file(text, url=None, now=datetime.now(UTC))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_json, filled(b"[", WORST, b"]")),
        (read_json, filled(b"[", b"[[]]", b"]")),
        (read_json, b'{"a":0.' + b"1" * MOST + b"}"),
        (lambda text: decode_operation(text.decode()), filled(b'{"kind":"evaluate","arg":[', WORST, b"]}")),
        (lambda text: decode_input(text.decode()), filled(b"{", b'"x":1e308', b"}")),
        (read_login, filled(b'{"a":[', WORST, b"]}", MAX_BYTES - 100)),
    ],
    ids=["numbers", "lists", "digits", "operation", "input", "login"],
)
def test_nothing_takes_long(read: Callable[[bytes], object], text: bytes) -> None:
    """The decoder holds the interpreter, so that no other request goes on meanwhile, even from a thread."""
    started = time.thread_time()
    with suppress(msgspec.MsgspecError, GreenroomError, ValueError):  # how it ends is not what counts
        read(text)
    assert time.thread_time() - started < 2


def test_operation_with_many_numbers_is_sent_soon() -> None:
    """It is read once more before it goes to the host."""
    operation = Evaluate(expression="1", arg=[1e308] * 500_000)
    started = time.thread_time()
    assert decode_operation(encode_operation(operation)) == operation
    assert time.thread_time() - started < 2


def test_garbage_is_collected_afterwards_and_not_meanwhile() -> None:
    """Also if the text was no JSON. Each collection would look at all lists made so far."""
    collections: list[str] = []
    gc.callbacks.append(note := lambda phase, _info: collections.append(phase))
    try:
        with pytest.raises(msgspec.DecodeError):
            read_json(b"[[" + b"[]," * 100_000)
    finally:
        gc.callbacks.remove(note)
    assert len(collections) <= 2
    assert gc.isenabled()
