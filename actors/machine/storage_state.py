"""A login as a browser can be given one: cookies, and what sites keep.

The format is Playwright's: `storageState` in https://playwright.dev/docs/api/class-browsercontext.
"""

from typing import Any, Literal

import msgspec


class Cookie(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A cookie. `expires` is in seconds since the epoch, -1 for one that ends with the browser."""

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float = -1
    http_only: bool = False
    secure: bool = False
    same_site: Literal["Strict", "Lax", "None"] = "Lax"

    def __repr__(self) -> str:
        """Leave out the value."""
        return f"Cookie(name={self.name!r}, domain={self.domain!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("domain", self.domain)]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a site's local storage."""

    name: str
    value: str

    def __repr__(self) -> str:
        """Leave out the value."""
        return f"Item(name={self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name)]


class Origin(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an origin keeps. Its databases are as Playwright writes them."""

    origin: str
    local_storage: tuple[Item, ...] = ()
    indexed_db: tuple[dict[str, Any], ...] = msgspec.field(default=(), name="indexedDB")

    def __repr__(self) -> str:
        """Leave out what it keeps."""
        return f"Origin(origin={self.origin!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("origin", self.origin)]


class StorageState(msgspec.Struct, frozen=True, kw_only=True):
    """All cookies, and all that origins keep. Its text shows no values."""

    cookies: tuple[Cookie, ...] = ()
    origins: tuple[Origin, ...] = ()
