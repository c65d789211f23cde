"""Random changes to practice pages, of the kinds by which pages break or are broken on purpose."""

import random
from collections.abc import Callable, Sequence

MAX_PAGE_BYTES = 4_000_000
_STORM_BYTES = 200_000
_TOKENS = (
    *(
        b"<",
        b">",
        b"</",
        b"<!--",
        b"-->",
        b'"',
        b"'",
        b"=",
        b"{",
        b"}",
        b"[",
        b"\\",
        b"\\u",
        b"&quot;",
        b"&#34;",
    ),
    *(
        b"<script>",
        b"</script>",
        b"<script id=SIGI_STATE>",
        b"<template>",
        b"<noscript>",
        b"<svg>",
        b"<title>",
    ),
    *(b"<textarea>", b"<plaintext>", b"<div>", b"</div>", b"<p>", b"<a b=c>", b"<![CDATA[", b"]]>", b"\r\n"),
    *(b"window['SIGI_STATE']={", b"AppContext:{", b'"AppContext":{', b'"user":{', b"uid:'1'", b'"uid":"1"'),
    *(
        b'<b data-e2e="profile-icon">',
        b'<meta name=pumbaa-ctx content="login=1">',
        b"<b id=header-login-button>",
    ),
)
_ENTITIES = (
    b"&amp;",
    b"&#x41;",
    b"&quot;",
    b"&#0;",
    b"&#1114112;",
    b"&lt;",
    b"&CounterClockwiseContourIntegral;",
)
_NESTERS = (b"<div>", b"<b>", b"[", b"{", b'{"a":', b"{a:", b"(", b"<table><tr><td>", b"<script><!--")
_WRONG_ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-7", "cp037", "utf-8-sig")
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"<\0", b"\0<")
Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutate(rng: random.Random, pages: Sequence[bytes]) -> bytes:
    """Return one of the pages with one to four changes. It is at most `MAX_PAGE_BYTES` long."""
    page = rng.choice(pages)
    for _ in range(rng.randint(1, 4)):
        page = rng.choice(_MUTATIONS)(rng, page, pages)[:MAX_PAGE_BYTES]
    return page


def _cut(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, page)
    return rng.choice((page[:start], page[start:], page[:start] + page[end:]))


def _splice(rng: random.Random, page: bytes, pages: Sequence[bytes]) -> bytes:
    other = rng.choice(pages)
    start, end = _span(rng, other)
    at = rng.randrange(len(page) + 1)
    return page[:at] + other[start:end] + page[at:]


def _duplicate(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, page)
    end = min(end, start + rng.choice((10, 100, 1_000, 100_000)))
    times = min(rng.choice((2, 10, 1_000, 20_000)), 1 + MAX_PAGE_BYTES // max(1, end - start))
    return page[:start] + page[start:end] * times + page[end:]


def _nest(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(page) + 1)
    return page[:at] + rng.choice(_NESTERS) * rng.choice((10, 200, 1_000, 50_000)) + page[at:]


def _nulls(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    if rng.random() < 0.2:
        return b"\0".join(page[at : at + 1] for at in range(min(len(page), 100_000)))
    at = rng.randrange(len(page) + 1)
    return page[:at] + bytes(rng.choice((1, 10, _STORM_BYTES))) + page[at:]


def _encode_wrongly(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    if rng.random() < 0.3:
        return rng.choice(_BYTE_ORDER_MARKS) + page
    return page.decode(errors="replace").encode(rng.choice(_WRONG_ENCODINGS), errors="replace")


def _storm(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(page) + 1)
    unit = rng.choice((*_ENTITIES, *_TOKENS))
    return page[:at] + unit * (rng.randrange(_STORM_BYTES) // len(unit)) + page[at:]


def _insert_tokens(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    for _token in range(rng.randint(1, 20)):
        at = rng.randrange(len(page) + 1)
        page = page[:at] + rng.choice(_TOKENS) + page[at:]
    return page


def _replace_character(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    return page.replace(bytes([rng.choice(b"<>/\"'=&{}:,;\n ")]), rng.choice((*_TOKENS, b"", b" ")))


def _flip(rng: random.Random, page: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(page)
    for _byte in range(min(len(changed), rng.choice((1, 100, 10_000)))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _span(rng: random.Random, page: bytes) -> tuple[int, int]:
    start = rng.randrange(len(page) + 1)
    return start, rng.randint(start, len(page))


_MUTATIONS: tuple[Mutation, ...] = (
    _cut,
    _splice,
    _duplicate,
    _nest,
    _nulls,
    _encode_wrongly,
    _storm,
    _insert_tokens,
    _replace_character,
    _flip,
)
