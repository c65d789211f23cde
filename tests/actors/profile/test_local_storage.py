"""What sites keep in a profile's local storage, in databases like those that Firefox writes."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import cramjam
import pytest

from greenroom.actors.errors import ProfileUnusable
from greenroom.actors.machine.storage_state import Item, Origin
from greenroom.actors.profile import local_storage
from greenroom.actors.profile.local_storage import LocalStorage, read_local_storage

URL = "https://www.tiktok.com/"
FOLDER = "https+++www.tiktok.com"
SCHEMA = (
    "CREATE TABLE database (origin TEXT NOT NULL);"
    "CREATE TABLE data (key TEXT PRIMARY KEY, utf16_length INTEGER NOT NULL,"
    " conversion_type INTEGER NOT NULL, compression_type INTEGER NOT NULL,"
    " last_access_time INTEGER NOT NULL DEFAULT 0, value BLOB NOT NULL);"
    "PRAGMA user_version = 80;"
)
Row = tuple[str | bytes, int, int, int, bytes]


def row(key: str, value: str) -> Row:
    """Return a row as `LSValue::InitFromString` makes it."""
    units = value.encode("utf-16-le", "surrogatepass")
    is_valid = not any("\ud800" <= char <= "\udfff" for char in value)
    stored = value.encode() if is_valid else units
    short = bytes(cramjam.snappy.compress_raw(stored))
    is_short = len(stored) > 16 and len(short) < len(stored)
    return key, len(units) // 2, int(is_valid), int(is_short), short if is_short else stored


def write_origin(profile: Path, rows: list[Row], *, folder: str = FOLDER, schema: str = SCHEMA) -> Path:
    """Write an origin's database; return its path."""
    path = profile / "storage" / "default" / folder / "ls" / "data.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(schema)
        query = "INSERT INTO data (key, utf16_length, conversion_type, compression_type, value)"
        database.executemany(f"{query} VALUES (CAST(? AS TEXT), ?, ?, ?, ?)", rows)
        database.commit()
    return path


def values(found: LocalStorage) -> Mapping[str, Mapping[str, str]]:
    return {one.origin: {item.name: item.value for item in one.local_storage} for one in found.origins}


KEPT = {
    "ascii": "plain",
    "": "a key may be empty",
    "a value may be empty": "",
    "ключ": "é ☃ \U0001f600 \x00 \x7f",
    "json": '{"a": "b", ' + '"more": "more", ' * 500 + '"z": "ü"}',
    "long and random": "".join(chr(33 + number * 7919 % 90) for number in range(300)),
}


def test_values_are_read_as_the_page_has_them(tmp_path: Path) -> None:
    """ASCII or not, compressed or not, long or empty."""
    rows = [row(*one) for one in KEPT.items()]
    assert {(conversion, compression) for _, _, conversion, compression, _ in rows} == {(1, 0), (1, 1)}
    write_origin(tmp_path, rows)
    assert values(read_local_storage(tmp_path, URL)) == {"https://www.tiktok.com": KEPT}


def test_profile_where_nothing_is_kept_has_nothing(tmp_path: Path) -> None:
    """Never used, without the site, or with a database that nothing was ever put into."""
    nothing = LocalStorage(origins=(), of_others=0, unfit=0)
    assert read_local_storage(tmp_path, URL) == nothing
    path = write_origin(tmp_path, [])
    assert read_local_storage(tmp_path, URL) == nothing
    path.write_bytes(b"")
    assert read_local_storage(tmp_path, URL) == nothing


def test_only_origins_of_the_site_are_taken_unless_all_are_asked_for(tmp_path: Path) -> None:
    """Folders are named like their origins; those of containers and embedded sites are nobody's."""
    folders = {
        FOLDER: "https://www.tiktok.com",
        "https+++tiktok.com": "https://tiktok.com",
        "https+++nottiktok.com": "https://nottiktok.com",
        "http+++127.0.0.1+8700": "http://127.0.0.1:8700",
        "http+++[++1]+8700": "http://[::1]:8700",
    }
    for folder in (*folders, f"{FOLDER}^userContextId=1", f"{FOLDER}^partitionKey=%28https%2Cother.test%29"):
        write_origin(tmp_path, [row("where", folder)], folder=folder)
    write_origin(tmp_path, [row("where", "")], folder="moz-extension+++1b2c").with_name("other").touch()
    (tmp_path / "storage" / "default" / "https+++idb.tiktok.com" / "idb").mkdir(parents=True)
    found = read_local_storage(tmp_path, URL)
    assert values(found) == {
        origin: {"where": folder}
        for folder, origin in folders.items()
        if "tiktok.com" in folder[7:].split("not")[0]
    }
    assert found.of_others == 3
    assert values(read_local_storage(tmp_path, None)) == {
        origin: {"where": folder} for folder, origin in folders.items()
    }


def test_text_that_is_no_unicode_is_left_out_and_counted(tmp_path: Path) -> None:
    """Half of a pair can be in a page's text, and in no file."""
    half = row("half", "\ud83d" + "x" * 40)
    assert half[2:4] == (0, 1)
    write_origin(tmp_path, [row("whole", "yes"), half, row("short half", "\ude00"), (b"\xff", 1, 1, 0, b"x")])
    found = read_local_storage(tmp_path, URL)
    assert (values(found), found.unfit) == ({"https://www.tiktok.com": {"whole": "yes"}}, 3)


def test_what_is_too_much_is_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest first, over all origins; and origins after the first so many."""
    write_origin(tmp_path, [row("big", "x" * local_storage.MAX_BYTES), row("small", "y")])
    write_origin(tmp_path, [row("other", "y" * 1000)], folder="https+++m.tiktok.com")
    found = read_local_storage(tmp_path, URL)
    assert (sorted(name for one in values(found).values() for name in one), found.unfit) == (
        ["other", "small"],
        1,
    )
    with monkeypatch.context() as patched:
        patched.setattr(local_storage, "MAX_ENTRIES", 1)
        found = read_local_storage(tmp_path, URL)
        assert (values(found), found.unfit) == ({"https://www.tiktok.com": {"small": "y"}}, 2)
    monkeypatch.setattr(local_storage, "MAX_ORIGINS", 1)
    found = read_local_storage(tmp_path, URL)
    assert (found.origins, found.unfit) == (
        (Origin(origin="https://m.tiktok.com", local_storage=(Item(name="other", value="y" * 1000),)),),
        1,
    )


BOMB = bytes(cramjam.snappy.compress_raw(b"\0" * 10_000))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("a", 3, 1, 0, b"\xff\xfe\xfd")], "utf-8"),
        ([("a", 3, 1, 1, b"\x03\xff")], "snappy"),
        ([("a", 3, 1, 1, b"")], "snappy"),
        ([("a", 100, 1, 1, BOMB)], "longer than it says"),
        ([("a", 1 << 40, 1, 1, BOMB)], "not known"),
        ([("a", -1, 1, 0, b"")], "not known"),
        ([("a", 2, 1, 0, b"abc")], "longer or shorter"),
        ([("a", 2, 0, 0, b"abc")], "longer or shorter"),
        ([("a", 3, 2, 0, b"abc")], "not known"),
        ([("a", 3, 1, 2, b"abc")], "not known"),
    ],
)
def test_value_that_firefox_does_not_write_is_an_error(tmp_path: Path, rows: list[Row], reason: str) -> None:
    """It names the site, and tells nothing of the value. One of another site is none of ours."""
    write_origin(tmp_path, rows)
    with pytest.raises(ProfileUnusable, match=r"What www\.tiktok\.com keeps in local storage") as refused:
        read_local_storage(tmp_path, URL)
    assert reason in (refused.value.detail or "").lower()
    assert "abc" not in (refused.value.detail or "")
    assert read_local_storage(tmp_path, "https://other.test/").of_others == 1


@pytest.mark.parametrize(
    "stored",
    [
        ("'a'", "NULL", "1", "0", "x'61'"),
        ("'a'", "'1'", "1", "0", "x'61'"),
        ("'a'", "1.0", "1", "0", "x'61'"),
        ("'a'", "1", "1", "0", "NULL"),
        ("'a'", "1", "NULL", "x'00'", "x'61'"),
        ("NULL", "1", "1", "0", "x'61'"),
        ("7", "1", "1", "0", "x'61'"),
    ],
)
def test_column_of_another_type_is_an_error(tmp_path: Path, stored: tuple[str, ...]) -> None:
    """SQLite lets any column have any type, whatever Firefox declares."""
    columns = "key, utf16_length, conversion_type, compression_type, value"
    schema = f"CREATE TABLE data ({columns}); PRAGMA user_version = 80;"
    insert = f"INSERT INTO data VALUES ({', '.join(stored)});"  # noqa: S608  # ours
    write_origin(tmp_path, [], schema=schema + insert)
    with pytest.raises(ProfileUnusable) as refused:
        read_local_storage(tmp_path, URL)
    assert "not known" in (refused.value.detail or "")


def test_table_that_is_a_view_is_an_error(tmp_path: Path) -> None:
    """It could have entries without end."""
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
    values = "'k' AS key, 1 AS utf16_length, 1 AS conversion_type, 0 AS compression_type, x'41' AS value"
    path = write_origin(tmp_path, [])
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE data")
        database.execute(f"CREATE VIEW data AS {endless} SELECT {values} FROM n WHERE x < 0")  # noqa: S608
    with pytest.raises(ProfileUnusable) as refused:
        read_local_storage(tmp_path, URL)
    assert "no table" in (refused.value.detail or "")


def test_database_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    """Whether it is no database, cut off, of another format, or half changed."""
    path = write_origin(tmp_path, [row(f"key {number}", "x" * 200 + str(number)) for number in range(200)])
    whole = path.read_bytes()
    for rot in (b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 5000, whole[: len(whole) // 2]):
        path.write_bytes(rot)
        with pytest.raises(ProfileUnusable):
            read_local_storage(tmp_path, URL)
    path.write_bytes(whole)
    journal = path.with_name("data.sqlite-journal")
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504))
    with pytest.raises(ProfileUnusable) as refused:
        read_local_storage(tmp_path, URL)
    assert "in the middle of a change" in (refused.value.detail or "")
    journal.write_bytes(bytes(512))  # Firefox can leave one that counts no more
    assert len(read_local_storage(tmp_path, URL).origins) == 1
    write_origin(tmp_path, [], schema=SCHEMA.replace("80", "64"))
    with pytest.raises(ProfileUnusable) as refused:
        read_local_storage(tmp_path, URL)
    assert "another version of Firefox" in (refused.value.detail or "")


def test_database_that_is_too_large_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read to its end."""
    path = write_origin(tmp_path, [row("a", "b")])
    monkeypatch.setattr(local_storage, "_MAX_DATABASE_BYTES", path.stat().st_size - 1)
    with pytest.raises(ProfileUnusable) as refused:
        read_local_storage(tmp_path, URL)
    assert "more than" in (refused.value.detail or "")
