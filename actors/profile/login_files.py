"""Reads logins that other programs have exported: cookies.txt, JSON of browser extensions, storage states.

- `cookies.txt` is Netscape's format, with curl's `#HttpOnly_` lines (https://curl.se/docs/http-cookies.html).
- Extensions write JSON: a list of cookies in the words of the WebExtensions API, with `expirationDate` and
  `hostOnly` (https://developer.mozilla.org/docs/Mozilla/Add-ons/WebExtensions/API/cookies/Cookie).
- Playwright writes a storage state, which also has what sites keep.
"""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import attrs
import msgspec

from greenroom.actors.errors import LoginFileInvalid
from greenroom.actors.machine.storage_state import Cookie, Origin, StorageState
from greenroom.actors.plain_json import read_json
from greenroom.actors.profile.cookies import TOKENS, is_sent_to
from greenroom.actors.verdict.site import is_same_site

MAX_BYTES: Final = 2 << 20
"""How large a file may be. An account's cookies are some KB; with what a site keeps, some 100 KB."""

MAX_COOKIES: Final = 5000
"""How many cookies a file may have. Firefox itself keeps no more than some thousands."""

# What RFC 6265 allows, and non-ASCII values, which browsers take: no control characters, and no `;`.
_DOMAIN = re.compile(r"\.?(?:localhost|\[?[0-9a-fA-F:]+\]?|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)")
_NAME = re.compile(r"[!-:<>-~]+")
_REST = re.compile(r"[^\x00-\x1f;\x7f]*")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._\[\]:-]+", re.IGNORECASE)
_MAX_COOKIE_BYTES = 4096
_LAST_SECOND = 253_402_300_799  # of the year 9999

_HTTP_ONLY = "#HttpOnly_"
_FIELDS = 7
_SURELY_MILLISECONDS = 1e11
_SAME_SITE: Final = {"strict": "Strict", "lax": "Lax", "none": "None", "no_restriction": "None"}

_SameSite = Literal["Strict", "Lax", "None"]


@attrs.frozen(kw_only=True)
class Login:
    """What a file has for a site: the `state` for a browser, and the names of cookies that have `expired`.

    `left_out` counts the cookies and origins of other sites.
    """

    state: StorageState
    expired: tuple[str, ...]
    left_out: int


class _Exported(msgspec.Struct, kw_only=True, rename="camel"):
    """A cookie as extensions and Playwright write it. Each has one of the two words for its end."""

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float | None = None
    expiration_date: float | None = None
    session: bool = False
    host_only: bool | None = None
    http_only: bool = False
    secure: bool = False
    same_site: str | None = None


_Checked = tuple[Cookie, str | None]
"""A cookie, and what is wrong with it."""


@attrs.frozen(kw_only=True, repr=False)
class _Read:
    cookies: list[_Checked]
    origins: tuple[Origin, ...] = ()


def read_login_file(content: bytes, *, url: str | None, now: datetime) -> Login:
    """Return what an exported file has for the site of `url`; for all sites if that is None.

    Raises `LoginFileInvalid`, with the number of the line or entry, if anything in it is malformed; also if
    it has no login for the site that lasts, or nothing at all.
    """
    if len(content) > MAX_BYTES:
        raise LoginFileInvalid(f"The file has {len(content)} bytes, and {MAX_BYTES} are allowed")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise LoginFileInvalid(f"Line {line} is not UTF-8") from None
    read = _read_json(text) if text.lstrip()[:1] in {"{", "["} else _Read(cookies=list(_read_lines(text)))
    if len(read.cookies) > MAX_COOKIES:
        raise LoginFileInvalid(f"The file has {len(read.cookies)} cookies, and {MAX_COOKIES} are allowed")
    # What is odd of other sites is none of ours.
    wanted = [(one, problem) for one, problem in read.cookies if url is None or _is_of(one, url)]
    for _, problem in wanted:
        if problem is not None:
            raise LoginFileInvalid(problem)
    state = StorageState(cookies=tuple(cookie for cookie, _ in wanted), origins=read.origins)
    login = choose(state, url=url, now=now)
    if not (login.state.cookies or login.state.origins):
        raise LoginFileInvalid("There is nothing in the file that lasts")
    return attrs.evolve(login, left_out=login.left_out + len(read.cookies) - len(wanted))


def choose(whole: StorageState, *, url: str | None, now: datetime) -> Login:
    """Return what there is for a site, without what has expired; see `read_login_file`."""
    ours = [cookie for cookie in whole.cookies if url is None or _is_of(cookie, url)]
    origins = tuple(origin for origin in whole.origins if url is None or is_same_site(origin.origin, url))
    left_out = len(whole.cookies) + len(whole.origins) - len(ours) - len(origins)
    if url is not None:
        _check_login(ours, url, now)
    state = StorageState(cookies=tuple(one for one in ours if _holds(one, now)), origins=origins)
    expired = tuple(cookie.name for cookie in ours if not _holds(cookie, now))
    return Login(state=state, expired=expired, left_out=left_out)


def _holds(cookie: Cookie, now: datetime) -> bool:
    return cookie.expires == -1 or cookie.expires > now.timestamp()


def _check_login(ours: list[Cookie], url: str, now: datetime) -> None:
    host = urlsplit(url).hostname or ""
    sent = [cookie for cookie in ours if cookie.name in TOKENS and is_sent_to(host, cookie.domain)]
    if any(_holds(cookie, now) and cookie.expires != -1 for cookie in sent):
        return
    expired = [
        f"{cookie.name} expired on {datetime.fromtimestamp(cookie.expires, UTC):%Y-%m-%d %H:%M} UTC"
        for cookie in sent
        if not _holds(cookie, now)
    ]
    fleeting = [f"{cookie.name} ends with the browser" for cookie in sent if cookie.expires == -1]
    why = "; ".join(expired + fleeting) or f"none of {', '.join(TOKENS)} is in it"
    raise LoginFileInvalid(f"The file has no login at {host} that lasts: {why}")


def _is_of(cookie: Cookie, url: str) -> bool:
    return is_same_site(f"https://{cookie.domain.lstrip('.')}/", url)


def _read_lines(text: str) -> Iterator[_Checked]:
    for number, line in _lines(text):
        yield _read_line(number, line)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.rstrip("\r")
        if bare.strip() and (not bare.startswith("#") or bare.startswith(_HTTP_ONLY)):
            yield number, bare


def _read_line(number: int, line: str) -> _Checked:
    fields = line.removeprefix(_HTTP_ONLY).split("\t")
    if len(fields) == _FIELDS - 1:
        fields.append("")  # an editor has taken the tab before an empty value
    if len(fields) != _FIELDS:
        raise LoginFileInvalid(
            f"Line {number} has {len(fields)} fields, and a cookie has {_FIELDS} with tabs between them"
        )
    domain, subdomains, path, secure, expires, name, value = fields
    for what, flag in (("second", subdomains), ("fourth", secure)):
        if flag.upper() not in {"TRUE", "FALSE"}:
            raise LoginFileInvalid(f"Line {number}: the {what} field is neither TRUE nor FALSE")
    try:
        seconds = float(expires)
    except ValueError:
        raise LoginFileInvalid(f"Line {number}: the fifth field is not a time in seconds") from None
    bare = domain.lstrip(".")
    return _cookie(
        f"Line {number}",
        name=name,
        value=value,
        domain=f".{bare}" if subdomains.upper() == "TRUE" else bare,
        path=path,
        expires=seconds or -1,
        http_only=line.startswith(_HTTP_ONLY),
        secure=secure.upper() == "TRUE",
        same_site=None,
    )


def _read_json(text: str) -> _Read:
    try:
        found = read_json(text)
        if isinstance(found, list):
            found = {"cookies": found}
        exported = msgspec.convert(found.get("cookies"), list[_Exported])
        rest = {name: value for name, value in found.items() if name == "origins"}
        state = msgspec.convert(rest, StorageState)
    except RecursionError:
        raise LoginFileInvalid("The JSON is nested too deeply") from None
    except msgspec.MsgspecError as exc:
        raise LoginFileInvalid(f"The JSON has no cookies as browsers export them: {exc}") from None
    for number, origin in enumerate(state.origins, start=1):
        if not _ORIGIN.fullmatch(origin.origin):
            raise LoginFileInvalid(f"Origin {number} is not of the form https://host")
    cookies = [_of_exported(number, cookie) for number, cookie in enumerate(exported, start=1)]
    return _Read(cookies=cookies, origins=state.origins)


def _of_exported(number: int, exported: _Exported) -> _Checked:
    expires = exported.expires if exported.expires is not None else exported.expiration_date
    bare = exported.domain.lstrip(".")
    is_host_only = not exported.domain.startswith(".") if exported.host_only is None else exported.host_only
    return _cookie(
        f"Cookie {number}",
        name=exported.name,
        value=exported.value,
        domain=bare if is_host_only else f".{bare}",
        path=exported.path,
        expires=-1 if exported.session or expires is None else expires,
        http_only=exported.http_only,
        secure=exported.secure,
        same_site=exported.same_site,
    )


def _cookie(place: str, *, expires: float, same_site: str | None, **fields: Any) -> _Checked:
    what = ("name", "value", "domain", "path")
    problem = _problem(expires=expires, **{field: fields[field] for field in what})
    seconds = expires / 1000 if expires > _SURELY_MILLISECONDS else expires
    seconds = min(seconds, _LAST_SECOND) if math.isfinite(seconds) else 0
    # One that says nothing is sent as with None, which browsers take only with Secure.
    unsaid = "None" if fields["secure"] else "Lax"
    said = _SAME_SITE.get((same_site or "").lower(), unsaid)
    if said == "None" and not fields["secure"]:
        said = "Lax"
    cookie = Cookie(expires=seconds if seconds > 0 else -1, same_site=cast("_SameSite", said), **fields)
    return cookie, f"{place} {problem}" if problem else None


def _problem(*, name: str, value: str, domain: str, path: str, expires: float) -> str | None:
    """Return what is wrong with a cookie, as the end of a sentence."""
    size = len(name.encode(errors="surrogatepass")) + len(value.encode(errors="surrogatepass"))
    problems = {
        "has no name": not name,
        "has no domain": not domain.strip("."),
        "has a domain that no site can have": not _DOMAIN.fullmatch(domain),
        "ends at no time": not math.isfinite(expires),
        "has characters that no cookie can have": not (
            _NAME.fullmatch(name) and _REST.fullmatch(value) and _REST.fullmatch(path)
        ),
        f"has more than {_MAX_COOKIE_BYTES} bytes, which no browser keeps": size > _MAX_COOKIE_BYTES,
        "has a path that does not begin with /": not path.startswith("/"),
    }
    return next((problem for problem, is_so in problems.items() if is_so), None)
