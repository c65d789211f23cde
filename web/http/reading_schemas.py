"""The shapes of what is read of a session in JSON, as the browser's host gives it. Times are Unix times."""

from typing import Any

import msgspec


class CookieLine(msgspec.Struct, kw_only=True, rename="camel"):
    """A cookie, as Playwright has it; `expires` is -1 for one that ends with the session."""

    name: str
    value: str
    domain: str
    path: str
    expires: float
    http_only: bool
    secure: bool
    same_site: str


class OriginState(msgspec.Struct, kw_only=True, rename="camel"):
    """What an origin keeps: pairs of `name` and `value`, and databases as Playwright has them."""

    origin: str
    local_storage: list[dict[str, str]]
    indexed_db: list[dict[str, Any]] = msgspec.field(default_factory=list, name="indexedDB")


class StorageLines(msgspec.Struct, kw_only=True):
    """Playwright's storage state."""

    cookies: list[CookieLine]
    origins: list[OriginState]


class ConsoleLine(msgspec.Struct, kw_only=True):
    """A message on a page's console; `type` is as in Playwright."""

    at: float
    type: str
    text: str
    page: str | None = None


class NetworkLine(msgspec.Struct, kw_only=True):
    """A request of a page. `status` and `error` are null until it has ended; `ms` is how long it took."""

    at: float
    method: str
    url: str
    resource: str
    status: int | None
    error: str | None
    ms: int | None = None


class DownloadLine(msgspec.Struct, kw_only=True):
    """A download: `.../downloads/{name}` has its content."""

    name: str
    url: str


class Fetched(msgspec.Struct, kw_only=True):
    """What came for a `fetch`."""

    status: int
    url: str
    headers: dict[str, str]
    body_base64: str
