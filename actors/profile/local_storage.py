"""Reads the local storage that sites keep in a profile, as Firefox stores it; writes and runs nothing.

Each origin has a directory in `storage/default`, named like it with `+` for what file names can't have
(`MakeSanitizedOriginString` in dom/quota/ActorsParent.cpp), and after a `^` the container or the site that
embeds it. Its `ls/data.sqlite` has a table `data` (`CreateTables` in dom/localstorage/ActorsParent.cpp), and
each value there is stored as `LSValue::InitFromString` in dom/localstorage/LSValue.cpp makes it:

- it is UTF-8, with `conversion_type` 1; or, if it is no valid UTF-16, the bytes of its UTF-16 units, with 0;
- then Snappy's raw format, with `compression_type` 1, if that is shorter and there are more than 16 bytes;
- `utf16_length` counts the units of UTF-16 that the page sees.
"""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import cramjam
import msgspec

from greenroom.actors.errors import ProfileUnusable
from greenroom.actors.machine.storage_state import Item, Origin
from greenroom.actors.profile.sqlite import UNREADABLE, open_in_memory
from greenroom.actors.verdict.site import is_same_site

MAX_BYTES: Final = 1 << 20
"""How much is taken in all, as JSON. A login needs some KB."""

MAX_ENTRIES: Final = 5000
"""How many entries are taken in all."""

MAX_ORIGINS: Final = 100
"""How many origins are taken. A browser that is given them visits each."""

_FOLDER = re.compile(r"(https?)\+\+\+([A-Za-z0-9._-]+|\[[0-9a-f+]+\])(?:\+(\d+))?")
# Firefox lets an origin keep 5 MiB (`dom.storage.default_quota`), and stores some of it twice while it works.
_MAX_DATABASE_BYTES = 64 << 20
_MAX_UTF16_UNITS = 16 << 20
_BYTES_OF_A_UNIT = 3  # at most, in UTF-8
_SCHEMA = 5 << 4  # `kSQLiteSchemaVersion`: major 5, minor 0
_UTF8, _SNAPPY = 1, 1


@attrs.frozen(kw_only=True)
class LocalStorage:
    """What sites keep: the `origins` taken, and how many entries and origins were left out.

    `of_others` counts origins of other sites. `unfit` counts entries of the site that are too large or too
    many, or have text that is no valid Unicode, and origins that are too many.
    """

    origins: tuple[Origin, ...]
    of_others: int
    unfit: int


def read_local_storage(profile: Path, url: str | None) -> LocalStorage:
    """Return what the site of `url` keeps in `profile`; what all sites keep if that is None. Blocks.

    What containers keep, and embedded sites, is ignored. If not all of it fits the bounds of this module, the
    shortest entries are taken. No browser may have the profile open. Raises `ProfileUnusable`, with the
    origin, if its database can't be read, is damaged, or has another format.
    """
    found = dict(sorted(_folders(profile)))
    wanted = [origin for origin in found if url is None or is_same_site(origin, url)]
    taken = wanted[:MAX_ORIGINS]
    read = {origin: list(_read(origin, found[origin] / "ls" / "data.sqlite")) for origin in taken}
    fitting = [
        (len(msgspec.json.encode(item)), origin, item) for origin in taken for item in read[origin] if item
    ]
    kept: dict[str, list[Item]] = {origin: [] for origin in taken}
    size = 0
    for number, (length, origin, item) in enumerate(sorted(fitting, key=lambda one: one[0])):
        size += length
        if number == MAX_ENTRIES or size > MAX_BYTES:
            break
        kept[origin].append(item)
    count = sum(map(len, kept.values()))
    return LocalStorage(
        origins=tuple(
            Origin(origin=origin, local_storage=tuple(sorted(items, key=lambda item: item.name)))
            for origin, items in kept.items()
            if items
        ),
        of_others=len(found) - len(wanted),
        unfit=sum(map(len, read.values())) - count + len(wanted) - len(taken),
    )


def _folders(profile: Path) -> Iterator[tuple[str, Path]]:
    """Yield the origins that keep something in local storage, each with its directory."""
    storage = profile / "storage" / "default"
    try:
        entries = list(storage.iterdir()) if storage.is_dir() else []
    except OSError as exc:
        raise ProfileUnusable("What sites keep in the profile can't be read", detail=str(exc)) from exc
    for folder in entries:
        parts = _FOLDER.fullmatch(folder.name)
        if parts is not None and (folder / "ls" / "data.sqlite").is_file():
            scheme, host, port = parts.groups()
            yield f"{scheme}://{host.replace('+', ':')}{f':{port}' if port else ''}", folder


def _read(origin: str, path: Path) -> Iterator[Item | None]:
    """Yield an origin's entries; None for one whose text is no valid Unicode. Raises `ProfileUnusable`."""
    try:
        with open_in_memory(path, table="data", max_bytes=_MAX_DATABASE_BYTES) as database:
            if database is not None:
                yield from _entries(database)
    except (*UNREADABLE, cramjam.DecompressionError) as exc:
        host = urlsplit(origin).netloc
        raise ProfileUnusable(f"What {host} keeps in local storage can't be read", detail=str(exc)) from exc


def _entries(database: sqlite3.Connection) -> Iterator[Item | None]:
    database.text_factory = bytes  # a key may be no valid UTF-8
    ((schema,),) = database.execute("PRAGMA user_version")
    if schema != _SCHEMA:
        raise ValueError("it is of another version of Firefox: open the profile once with a current one")
    ((problem,),) = database.execute("PRAGMA integrity_check(1)")
    if problem != b"ok":
        raise ValueError(problem.decode(errors="replace"))
    for key, *stored in database.execute(
        "SELECT key, utf16_length, conversion_type, compression_type, value FROM data"
    ):
        is_text = isinstance(key, bytes)
        if not is_text:
            raise ValueError("a key is stored in a way that is not known")
        value = _decode(*stored)
        name = _text(key, "utf-8")
        yield None if name is None or value is None else Item(name=name, value=value)


def _decode(units: Any, conversion: Any, compression: Any, stored: Any) -> str | None:
    """Return a value; None if it is no valid Unicode.

    Raises `ValueError` or Snappy's error if Firefox does not store it so.
    """
    is_known = isinstance(stored, bytes) and conversion in {0, _UTF8} and compression in {0, _SNAPPY}
    if not is_known or not isinstance(units, int) or not 0 <= units <= _MAX_UTF16_UNITS:
        raise ValueError("a value is stored in a way that is not known")
    content: bytes = stored
    if compression == _SNAPPY:
        if cramjam.snappy.decompress_raw_len(content) > _BYTES_OF_A_UNIT * units:
            raise ValueError("a value is longer than it says")
        content = bytes(cramjam.snappy.decompress_raw(content))
    if conversion != _UTF8:
        if len(content) != 2 * units:
            raise ValueError("a value is longer or shorter than it says")
        return _text(content, "utf-16-le")
    value = content.decode()
    if len(value.encode("utf-16-le")) != 2 * units:
        raise ValueError("a value is longer or shorter than it says")
    return value


def _text(stored: bytes, encoding: str) -> str | None:
    try:
        return stored.decode(encoding)
    except UnicodeDecodeError:
        return None
