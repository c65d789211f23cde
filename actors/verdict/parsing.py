"""Feeds a page to the parser, in one pass and within bounds.

The parser is lxml's. It is fed in pieces, so that a hostile page is abandoned before it costs much: one with
a million tags, with deeper nesting than any real page, or with a tag that never ends.
"""

import contextlib
import re

from lxml import etree

from greenroom.actors.verdict.page_reader import ATTRIBUTE_COST, ELEMENT_COST, PageReader
from greenroom.actors.verdict.reading import Reading

# What a page may cost to read, per megabyte, with a minimum of one. A unit takes about 0.1 microseconds, and
# an element with a text and two attributes costs 8 units: even a page that is only a feed stays below this.
MAX_COST_PER_MB = 110_000
_MB = 1_000_000
_GAP_COST = 2
_ENTITIES_PER_COST = 4
# Browsers don't nest deeper.
MAX_DEPTH = 512
# An end tag that ends nothing costs as much as one more element for every 64 levels of depth.
_SHALLOW = 64
PIECE_BYTES = 16 * 1024
_BETWEEN_ATTRIBUTES = b" \t\r\n\f/"
# With scripts on, a browser takes the content of a noscript for text. lxml does so only for a noframes.
_AS_TEXT = ((b"<noscript", b"<noframes"), (b"</noscript", b"</noframes"))
_NOSCRIPT = re.compile(rb"(?<=[</])noscript", re.IGNORECASE)
_ENCODINGS = (
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


def read_page(page: str | bytes) -> Reading:
    """Read a page, of any size and however broken. Takes linear time; never raises."""
    text = (page if isinstance(page, str) else _decode(page)).replace("\0", "?")
    reading = Reading(text)
    reader = PageReader(reading)
    parser = etree.HTMLParser(
        encoding="utf-8",
        huge_tree=True,
        recover=True,
        target=reader,  # type: ignore[arg-type]  # the stubs allow bytes, which the parser never passes
    )
    data = _without_noscript(text.encode(errors="replace"))
    budget = MAX_COST_PER_MB * max(1, len(data) / _MB)
    try:
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            before, ended = reader.cost, reader.ended
            parser.feed(piece)
            reader.add_cost(_unseen_cost(piece, reader.ended - ended, reader.depth, reader.cost == before))
            if reader.cost > budget or reader.depth > MAX_DEPTH:
                reading.is_whole = False
                break
        else:
            _close(parser)
    except etree.LxmlError:
        reading.is_whole = False
    reader.finish()
    return reading


def _without_noscript(data: bytes) -> bytes:
    """Make the parser take the content of a noscript for text, as a browser with scripts on does."""
    for tag, raw in _AS_TEXT:
        data = data.replace(tag, raw)
    return _NOSCRIPT.sub(b"noframes", data) if b"noscript" in data.lower() else data


def _unseen_cost(piece: bytes, ended: int, depth: int, is_silent: bool) -> int:
    """Return the cost of what the parser does in a piece without telling the reader.

    That is entities; end tags that end nothing, for each of which it searches all open elements; and, in a
    piece without any event, the attributes of a tag that is still open.
    """
    cost = piece.count(b"&") // _ENTITIES_PER_COST
    cost += max(0, piece.count(b"</") - ended) * (ELEMENT_COST + depth // _SHALLOW * ELEMENT_COST)
    if is_silent:
        gaps = len(piece) - len(piece.translate(None, _BETWEEN_ATTRIBUTES))
        cost += max(_GAP_COST * gaps, ATTRIBUTE_COST * piece.count(b"="))
    return cost


def _close(parser: etree.HTMLParser) -> None:
    """Tell the parser that the page ends here. It raises if there was no element, which is fine with us."""
    with contextlib.suppress(etree.LxmlError):
        parser.close()


def _decode(page: bytes) -> str:
    for start, name in _ENCODINGS:
        if page.startswith(start):
            return page.decode(name, errors="replace")
    try:
        return page.decode("utf-8-sig")
    except UnicodeDecodeError:  # everything that we look for is ASCII, which latin-1 keeps
        return page.decode("latin-1")
