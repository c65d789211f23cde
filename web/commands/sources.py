"""The pages for `greenroom verdict`: files of several kinds, standard input, addresses."""

import base64
import binascii
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs

from greenroom.actors.verdict.arrival import Arrival, path_of, seconds_to_wait
from greenroom.actors.verdict.site import is_address, is_same_site, is_tiktok_address
from greenroom.web.terminal import one_line

if TYPE_CHECKING:
    from email.message import Message

MAX_PAGE_BYTES = 64 * 1024 * 1024
HTTP_TIMEOUT_S = 20.0
FETCH_TIMEOUT_S = 60.0
STDIN = "-"
_REDIRECTS, _SERVER_ERROR = range(300, 400), 500
_MESSAGE = re.compile(rb"[\w-]+:[ \t]")
_MESSAGE_HEADERS = re.compile(rb"^(?:mime-version|content-type):", re.MULTILINE)
# Bytes that may come before UTF-16 text, besides blanks.
_UTF_16 = b"\xff\xfe\0"
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
# How files that are not pages begin.
_OTHERS = {
    b"%PDF-": "a PDF",
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "a WebP image or a recording",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"WARC/": "a web archive",
    b"HTTP/": "an HTTP answer as it was sent",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"bplist00": "a web archive",
    b"SQLite format 3": "a database",
    b"\x7fELF": "a program",
}


class PageUnreadable(Exception):
    """There is no page to judge: no such file, one of another kind, no answer, or too much."""


@attrs.frozen(kw_only=True)
class Source:
    """A page, and what is known about how it came."""

    page: bytes
    arrival: Arrival = attrs.field(factory=Arrival)


def read_source(source: str) -> Source:
    """Return the page in a file, at an address or, for "-", on standard input. Blocks.

    An MHTML file's page is its main part, a HAR file's the last document. An address is fetched without
    cookies, so the page is one for nobody in particular. Raises PageUnreadable.
    """
    if source.lower().startswith(("http://", "https://")):
        return _fetch(source)
    page = _read_file(source)
    head = page[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    for start, name in _OTHERS.items():
        if head.startswith(start):
            raise PageUnreadable(f"{one_line(source)}: no page but {name}")
    if head.lstrip(_UTF_16)[:1] in (b"{", b"["):
        return _from_har(source, page)
    return _from_mhtml(source, page) if _is_mhtml(head) else Source(page=page)


def _is_mhtml(head: bytes) -> bool:
    headers = head.partition(b"\r\n\r\n")[0].partition(b"\n\n")[0].lower()
    return bool(_MESSAGE.match(head) and _MESSAGE_HEADERS.search(headers))


def _from_mhtml(source: str, page: bytes) -> Source:
    """Return the main part: the one that the headers name, otherwise the first one that is a page."""
    import email.policy  # noqa: PLC0415  # rarely needed, as httpx is

    message = email.message_from_bytes(page, policy=email.policy.default)
    location = str(message.get("Snapshot-Content-Location", "")).strip()
    root = str(message.get_param("start") or "").strip()
    parts = [part for part in message.walk() if part.get_content_type() in _PAGE_TYPES]
    named = [part for part in parts if _is_root(part, root, location)]
    for part in (*named, *parts):
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            charset = part.get_content_charset()
            address = str(part.get("Content-Location", "") or location).strip()
            return Source(page=_in_utf8(content, charset) if charset else content, arrival=recorded(address))
    raise PageUnreadable(f"{one_line(source)}: an MHTML file without a page in it")


def _is_root(part: "Message[Any, Any]", root: str, location: str) -> bool:
    content_id, address = (
        str(part.get("Content-ID", "")).strip(),
        str(part.get("Content-Location", "")).strip(),
    )
    return (bool(root) and content_id == root) or (bool(location) and address == location)


def _in_utf8(content: bytes, charset: str) -> bytes:
    try:
        return content.decode(charset, errors="replace").encode()
    except LookupError:
        return content


def _from_har(source: str, text: bytes) -> Source:
    """Return the last document that the recorded browser got for its main page."""
    try:
        documents = list(_documents(json.loads(text)["log"]["entries"]))
    except (ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise PageUnreadable(f"{one_line(source)}: JSON, but no page and no HAR file") from None
    if not documents:
        raise PageUnreadable(f"{one_line(source)}: a HAR file without a document in it, or without its text")
    given = [page for page in documents if page.arrival.is_proven] or documents
    if (status := given[-1].arrival.status or 0) >= _SERVER_ERROR:
        raise PageUnreadable(f"{one_line(source)}: HTTP {status}")
    return given[-1]


def _documents(entries: list[dict[str, Any]]) -> Iterator[Source]:
    """Yield the documents, except redirects and those that the requests show to be in frames."""
    for entry in entries:
        answer, asked = entry["response"], str(entry["request"]["url"])
        content = answer.get("content") or {}
        type_ = str(content.get("mimeType") or "").partition(";")[0].strip().lower()
        sent = _headers(entry["request"])
        is_document = entry.get("_resourceType", "document") == "document"
        is_framed = sent.get("sec-fetch-dest", "document") != "document"
        if not is_document or is_framed or type_ not in _PAGE_TYPES or not content.get("text"):
            continue
        status = int(answer.get("status") or 0)
        if status not in _REDIRECTS:
            arrival = recorded(asked, status or None, _headers(answer).get("retry-after", ""))
            yield Source(page=_har_text(content), arrival=arrival)


def _headers(message: Mapping[str, Any]) -> dict[str, str]:
    return {str(one["name"]).lower(): str(one["value"]) for one in message.get("headers") or ()}


def _har_text(content: Mapping[str, Any]) -> bytes:
    text = str(content["text"])
    if content.get("encoding") == "base64":
        try:
            return base64.b64decode(text)
        except binascii.Error:
            return b""
    return text.encode(errors="replace")


def recorded(address: str, status: int | None = None, retry_after: str = "") -> Arrival:
    """Return the arrival of a recorded page from `address`. A date in Retry-After is in the past by now."""
    is_own = is_tiktok_address(address)
    return Arrival(
        is_elsewhere=is_address(address) and not is_own,
        is_proven=is_own,
        path=path_of(address),
        status=status,
        retry_after_s=seconds_to_wait(retry_after) if retry_after.isdigit() else None,
    )


def arrived(asked: str, address: str, status: int, retry_after: str) -> Arrival:
    """Return the arrival of a page just fetched from `address` in answer to a request for `asked`."""
    return Arrival(
        is_elsewhere=not is_same_site(asked, address),
        is_proven=is_tiktok_address(address),
        path=path_of(address),
        status=status,
        retry_after_s=seconds_to_wait(retry_after),
    )


def _read_file(source: str) -> bytes:
    try:
        if source == STDIN:
            return _read(source, sys.stdin.buffer)
        with Path(source).open("rb") as file:
            return _read(source, file)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a file's name"
        raise PageUnreadable(f"{one_line(source)}: {why}") from exc


def _read(source: str, file: BinaryIO) -> bytes:
    page = file.read(MAX_PAGE_BYTES + 1)
    _check_size(source, len(page))
    return page


def _fetch(url: str) -> Source:
    """Return the page at an address. Cookies are neither sent nor kept."""
    from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415

    import httpx  # noqa: PLC0415  # takes as long to import as all else

    page = bytearray()
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    try:
        with (
            httpx.Client(follow_redirects=True, timeout=HTTP_TIMEOUT_S, cookies=no_cookies) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code >= _SERVER_ERROR:
                raise PageUnreadable(f"{one_line(url)}: HTTP {answer.status_code}")
            for chunk in answer.iter_bytes():
                page += chunk
                _check_size(url, len(page))
                if time.monotonic() > deadline:
                    raise PageUnreadable(f"{one_line(url)}: not there after {FETCH_TIMEOUT_S:.0f} s")
            retry_after = answer.headers.get("retry-after", "")
            return Source(
                page=bytes(page), arrival=arrived(url, str(answer.url), answer.status_code, retry_after)
            )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
        why = one_line(str(exc)) or type(exc).__name__
        raise PageUnreadable(f"{one_line(url)}: {why}") from exc


def _check_size(source: str, size: int) -> None:
    if size > MAX_PAGE_BYTES:
        raise PageUnreadable(f"{one_line(source)}: more than {MAX_PAGE_BYTES >> 20} MB")
