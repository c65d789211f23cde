"""The files that `greenroom verdict` reads: MHTML and HAR are understood, other kinds are named."""

import base64
import gzip
import json
import quopri
import zipfile
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.verdict import LoginReason, LoginState
from greenroom.web.commands.sources import PageUnreadable
from greenroom.web.commands.verdict import judge_source
from tests.actors.verdict.builders import IN_FILE, OUT_FILE, UNIVERSAL

IN, OUT = IN_FILE, OUT_FILE
TIKTOK = "https://www.tiktok.com/foryou"


def mhtml(
    *parts: tuple[str, str, str], start: str = "", location: str = TIKTOK, newline: str = "\r\n"
) -> bytes:
    """Return an MHTML file of these parts (type, location, content), each in the next encoding."""
    lines = ["From: <Saved by Blink>", f"Snapshot-Content-Location: {location}", "MIME-Version: 1.0"]
    lines += [f'Content-Type: multipart/related; type="text/html"; boundary="----B"{start}', ""]
    for number, (type_, place, content) in enumerate(parts):
        encoding = ("quoted-printable", "base64", "binary")[number % 3]
        body = {
            "quoted-printable": quopri.encodestring(content.encode()).decode(),
            "base64": base64.encodebytes(content.encode()).decode(),
            "binary": content,
        }[encoding]
        lines += ["------B", f"Content-Type: {type_}; charset=utf-8", f"Content-ID: <part{number}@mhtml>"]
        lines += [f"Content-Transfer-Encoding: {encoding}", f"Content-Location: {place}", "", body]
    return newline.join([*lines, "------B--", ""]).encode()


def entry(url: str, text: str, type_: str = "text/html; charset=utf-8", **more: Any) -> dict[str, Any]:
    dest = more.pop("dest", None)
    status, headers = more.pop("status", 200), more.pop("headers", [])
    sent = [{"name": "Sec-Fetch-Dest", "value": dest}] if dest else []
    return {
        "request": {"url": url, "headers": sent},
        "response": {
            "status": status,
            "headers": headers,
            "content": {"mimeType": type_, "text": text} | more,
        },
    }


def har(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()


def judged(tmp_path: Path, content: bytes) -> tuple[LoginState, LoginReason]:
    path = tmp_path / "page"
    path.write_bytes(content)
    decision = judge_source(str(path)).decision
    return decision.state, decision.reason


STYLE, FRAME = ("text/css", "cid:a", "b{}"), ("text/html", "https://ads.example/", "<p>x</p>")
STATE = {IN: LoginState.LOGGED_IN, OUT: LoginState.LOGGED_OUT}


@pytest.mark.parametrize("page", [IN, OUT])
@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_main_part_of_mhtml_is_read(tmp_path: Path, page: str, newline: str) -> None:
    """It is read in every transfer encoding, before and after other parts."""
    main = ("text/html", TIKTOK, page)
    for parts in ((main, STYLE, FRAME), (FRAME, main), (STYLE, FRAME, main)):
        assert judged(tmp_path, mhtml(*parts, newline=newline))[0] is STATE[page]
    start = '; start="<part1@mhtml>"'
    assert judged(tmp_path, mhtml(FRAME, ("text/html", "", page), start=start))[0] is STATE[page]


def test_mhtml_of_another_site_is_not_judged(tmp_path: Path) -> None:
    """Its location counts as proof of its origin, just like a browser's address."""
    controls = '<i data-e2e="profile-icon"></i>'
    assert judged(tmp_path, mhtml(("text/html", TIKTOK, controls)))[0] is LoginState.LOGGED_IN
    elsewhere = "https://blog.example/"
    for page in (controls, IN):
        found = judged(tmp_path, mhtml(("text/html", elsewhere, page), location=elsewhere))
        assert found == (LoginState.UNCERTAIN, LoginReason.NOT_TIKTOK)
        assert judged(tmp_path, har(entry(elsewhere, page))) == found


@pytest.mark.parametrize("first", ["Date: Thu, 1 Jan 2026 00:00:00 -0000", "Subject: x", "X-MimeOLE: 6"])
def test_mhtml_may_begin_with_any_header(tmp_path: Path, first: str) -> None:
    """Browsers and mail programs start with different ones."""
    page = mhtml(("text/html", TIKTOK, IN))
    assert judged(tmp_path, first.encode() + b"\r\n" + page)[0] is LoginState.LOGGED_IN
    mixed = page.replace(b"multipart/related", b"multipart/mixed")
    assert judged(tmp_path, mixed)[0] is LoginState.LOGGED_IN


def test_part_without_a_charset_is_read_like_any_file(tmp_path: Path) -> None:
    """Its own marks give the encoding."""
    page = mhtml(STYLE, ("text/html", TIKTOK, "<here>")).replace(b"; charset=utf-8", b"")
    content = base64.encodebytes(IN.encode("utf-16"))
    page = page.replace(base64.encodebytes(b"<here>"), content)
    assert judged(tmp_path, page)[0] is LoginState.LOGGED_IN


def test_har_that_began_elsewhere_is_read(tmp_path: Path) -> None:
    """TikTok's last document counts, wherever the recording began. Redirects to other sites don't."""
    search = entry("https://search.example/", "<p>results</p>")
    assert judged(tmp_path, har(search, entry(TIKTOK, IN)))[0] is LoginState.LOGGED_IN
    sent_away = entry(TIKTOK, "<p>moved</p>", status=302)
    found = judged(tmp_path, har(sent_away, entry("https://portal.example/", IN)))
    assert found == (LoginState.UNCERTAIN, LoginReason.NOT_TIKTOK)
    assert judged(tmp_path, har(entry("no address", IN)))[0] is LoginState.LOGGED_IN
    assert judged(tmp_path, har(entry(TIKTOK, IN)).decode().encode("utf-16"))[0] is LoginState.LOGGED_IN


def test_last_document_of_har_is_read(tmp_path: Path) -> None:
    """Data, frames and other sites don't count. The status comes from the same answer."""
    page = entry(TIKTOK, IN, dest="document")
    others = [
        entry("https://www.tiktok.com/api", "{}", "application/json"),
        entry("https://www.tiktok.com/frame", OUT, dest="iframe"),
        entry("https://ads.example/", OUT),
        entry("https://www.tiktok.com/redirect", "", status=302),
    ]
    assert judged(tmp_path, har(page, *others))[0] is LoginState.LOGGED_IN
    assert judged(tmp_path, har(entry(TIKTOK, OUT), page))[0] is LoginState.LOGGED_IN
    assert judged(tmp_path, har(page, entry(TIKTOK, OUT)))[0] is LoginState.LOGGED_OUT
    encoded = entry(TIKTOK, base64.b64encode(IN.encode()).decode(), encoding="base64")
    assert judged(tmp_path, har(encoded))[0] is LoginState.LOGGED_IN
    refused = entry(TIKTOK, "<p>No</p>", status=429, headers=[{"name": "Retry-After", "value": "9"}])
    assert judged(tmp_path, har(refused)) == (LoginState.UNCERTAIN, LoginReason.RATE_LIMITED)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (gzip.compress(IN.encode()), "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"{}", "no HAR"),
        (b'{"log":{"entries":7}}', "no HAR"),
        (b'{"log":{"entries":[{"request":{"url":"x"}}]}}', "no HAR"),
        (b"[1]", "no HAR"),
        (b"{" * 100_000, "no HAR"),
        (
            b'{"log":{"entries":[%s]}}'
            % json.dumps(entry(TIKTOK, IN, status=7)).encode().replace(b"7", b"1e999"),
            "no HAR",
        ),
        (har(entry(TIKTOK, IN, status=503)), "HTTP 503"),
        (b"PK\x05\x06", "zip"),
        (b"HTTP/1.1 200 OK\r\n\r\n<p>", "HTTP answer"),
        (har(), "without a document"),
        (har(entry(TIKTOK, "{}", "application/json")), "without a document"),
        (mhtml(STYLE), "without a page"),
        (mhtml(), "without a page"),
    ],
)
def test_file_that_is_not_a_page_is_reported_as_what_it_is(tmp_path: Path, content: bytes, kind: str) -> None:
    """The file gets no verdict."""
    with pytest.raises(PageUnreadable, match=kind):
        judged(tmp_path, content)


def test_zip_is_reported_as_one(tmp_path: Path) -> None:
    """People send a browser's "page, complete" as a zip file."""
    with zipfile.ZipFile(tmp_path / "page", "w") as archive:
        archive.writestr("page.html", IN)
    with pytest.raises(PageUnreadable, match="zip"):
        judge_source(str(tmp_path / "page"))


@pytest.mark.parametrize(
    "page", [f"From: me{IN}", f"<p>Content-Type: multipart/related</p>{IN}", f"\ufeff \n{IN}"]
)
def test_page_that_looks_like_another_kind_is_a_page(tmp_path: Path, page: str) -> None:
    """Words that look like a header don't turn a page into a message."""
    assert UNIVERSAL in page
    assert judged(tmp_path, page.encode())[0] is LoginState.LOGGED_IN
