"""What a profile's cookies say about a login, read from files as Firefox leaves them."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from greenroom.actors.errors import ProfileUnusable
from greenroom.actors.profile import cookies
from greenroom.actors.profile.cookies import SavedLogin, digest_login, is_sent_to, read_login
from tests.actors.profile.profile_trees import snapshot, unprivileged_directory

HOST = "www.tiktok.com"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SOON, LATER = NOW + timedelta(days=30), NOW + timedelta(days=180)
CANARY = "canary-of-a-cookie"
SCHEMA = (
    "CREATE TABLE moz_cookies (id INTEGER PRIMARY KEY, originAttributes TEXT NOT NULL DEFAULT '', name TEXT, "
    "value TEXT, host TEXT, path TEXT, expiry INTEGER)"
)
Cookie = tuple[str, str, datetime]


@contextmanager
def writing(profile: Path, *, container: str = "", unit: int = 1000) -> Iterator["list[Cookie]"]:
    """Keep a database open during the block, with a log, as Firefox does, and write the cookies to it."""
    profile.mkdir(exist_ok=True)
    written: list[Cookie] = []
    with closing(sqlite3.connect(profile / "cookies.sqlite")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
        database.execute(SCHEMA)
        database.commit()
        yield written
        for name, host, expires in written:
            database.execute(
                "INSERT INTO moz_cookies (originAttributes, name, value, host, path, expiry) "
                "VALUES (?, ?, ?, ?, '/', ?)",
                (container, name, CANARY, host, int(expires.timestamp() * unit)),
            )
            database.commit()
        # What a browser leaves that is killed now.
        shutil.copytree(profile, profile.with_name("killed"))


def profile_with(tmp_path: Path, *cookies: Cookie, container: str = "", unit: int = 1000) -> Path:
    """Return a profile as after a clean exit, with the log merged into the database."""
    with writing(tmp_path / "profile", container=container, unit=unit) as written:
        written.extend(cookies)
    return tmp_path / "profile"


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
def test_login_is_told_with_its_cookies_and_its_last_moment(tmp_path: Path, unit: int) -> None:
    """All cookies of a login are named, from any Firefox; the longest-lived proof gives the expiry."""
    profile = profile_with(
        tmp_path,
        ("sid_tt", ".tiktok.com", LATER),
        ("sessionid", ".tiktok.com", SOON),
        ("uid_tt", HOST, LATER + timedelta(days=99)),
        ("ttwid", ".tiktok.com", LATER),
        unit=unit,
    )
    saved = read_login(profile, HOST)
    assert saved == SavedLogin(names=("sessionid", "sid_tt", "uid_tt"), expires_at=LATER)
    assert saved.holds_at(NOW)
    assert not saved.holds_at(LATER)


@pytest.mark.parametrize(
    "cookies",
    [
        (),
        (("ttwid", ".tiktok.com", LATER),),
        (("uid_tt", ".tiktok.com", LATER), ("sid_guard", ".tiktok.com", LATER)),
        (("sessionid", ".example.com", LATER),),
        (("sessionid", "tiktok.com", LATER),),  # of that host alone
        (("sessionid", ".eviltiktok.com", LATER),),
        (("sessionid", ".m.tiktok.com", LATER),),
    ],
    ids=["none", "visitor", "no proof", "other site", "other host", "like it", "below"],
)
def test_no_login_is_told_where_there_is_no_proof(tmp_path: Path, cookies: tuple[Cookie, ...]) -> None:
    """A profile that has only visited the site, or is logged in elsewhere, has no login."""
    saved = read_login(profile_with(tmp_path, *cookies), HOST)
    assert saved.expires_at is None
    assert not saved.holds_at(NOW)


def test_cookie_of_a_container_does_not_count(tmp_path: Path) -> None:
    """A login in one of Firefox's containers doesn't count for the pages of a session."""
    profile = profile_with(tmp_path, ("sessionid", HOST, LATER), container="^userContextId=1")
    assert read_login(profile, HOST).expires_at is None


def test_log_of_a_killed_browser_counts_and_nothing_is_written(tmp_path: Path) -> None:
    """Commits that are only in the log count, and the files stay as they are."""
    profile_with(tmp_path, ("uid_tt", HOST, SOON), ("sessionid", HOST, SOON))
    killed = tmp_path / "killed"
    (killed / "cookies.sqlite-shm").unlink()
    assert (killed / "cookies.sqlite-wal").stat().st_size > 0
    before = snapshot(killed)
    assert read_login(killed, HOST) == SavedLogin(names=("sessionid", "uid_tt"), expires_at=SOON)
    assert snapshot(killed) == before


def test_torn_end_of_the_log_does_not_count(tmp_path: Path) -> None:
    """A commit whose last page is truncated doesn't count; earlier commits do."""
    profile_with(tmp_path, ("uid_tt", HOST, SOON), ("sessionid", HOST, SOON))
    log = tmp_path / "killed" / "cookies.sqlite-wal"
    os.truncate(log, log.stat().st_size - 1)
    assert read_login(tmp_path / "killed", HOST).names == ("uid_tt",)


def test_path_that_sqlite_can_not_open_is_read(tmp_path: Path) -> None:
    """SQLite opens no path longer than 512 bytes; reading a login needs no such path."""
    deep = tmp_path
    for _ in range(4):
        deep /= "d" * 150
    deep.mkdir(parents=True)
    profile_with(tmp_path, ("sessionid", HOST, LATER)).rename(deep / "profile")
    assert read_login(deep / "profile", HOST).holds_at(NOW)


@pytest.mark.parametrize("content", [None, b"", b"SQLite"])
def test_profile_without_cookies_has_no_login(tmp_path: Path, content: bytes | None) -> None:
    """A profile without cookies, or with an empty database, is not an error."""
    if content is not None:
        (tmp_path / "cookies.sqlite").write_bytes(content)
    assert read_login(tmp_path, HOST) == SavedLogin(names=(), expires_at=None)


@pytest.mark.parametrize("kind", ["garbage", "no table", "directory", "wild log", "odd expiry"])
def test_cookies_that_can_not_be_read_are_told_as_such(tmp_path: Path, kind: str) -> None:
    """Damage is a separate error, which says neither that somebody is logged in nor that nobody is."""
    profile = profile_with(tmp_path, ("sessionid", HOST, LATER))
    path = profile / "cookies.sqlite"
    if kind == "garbage":
        path.write_bytes(bytes(range(256)) * 400)
    elif kind == "directory":
        path.unlink()
        path.mkdir()
    elif kind == "wild log":
        page = path.read_bytes()[16:18]
        log = bytes(8) + bytes(2) + page + bytes(20)
        frame = b"\xff\xff\xff\xff" + b"\0\0\0\1" + bytes(16) + bytes(int.from_bytes(page, "big"))
        (profile / "cookies.sqlite-wal").write_bytes(log + frame)
    else:
        with closing(sqlite3.connect(path)) as database:
            if kind == "no table":
                database.execute("DROP TABLE moz_cookies")
            else:
                database.execute("UPDATE moz_cookies SET expiry = 'never'")
            database.commit()
    with pytest.raises(ProfileUnusable, match=r"^The profile's cookies can't be read$") as caught:
        read_login(profile, HOST)
    assert CANARY not in str(caught.value.detail)


@pytest.mark.parametrize("read", [read_login, digest_login], ids=["login", "digest"])
def test_cookies_without_end_are_told_as_such(
    tmp_path: Path, read: Callable[[Path, str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a view makes them up, or many rows share the same pages of the file."""
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
    with closing(sqlite3.connect(tmp_path / "cookies.sqlite")) as database:
        columns = "'' AS name, '' AS value, '' AS host, 1 AS expiry, '' AS originAttributes"
        view = f"CREATE VIEW moz_cookies AS {endless} SELECT {columns} FROM n WHERE x < 0"  # noqa: S608  # ours
        database.execute(view)
    with pytest.raises(ProfileUnusable) as caught:
        read(tmp_path, HOST)
    assert "no table" in str(caught.value.detail)
    profile = profile_with(tmp_path, *[("sessionid", HOST, LATER)] * 100)
    monkeypatch.setattr(cookies, "_MAX_BYTES", (profile / "cookies.sqlite").stat().st_size)
    assert read(profile, HOST)
    monkeypatch.setattr(cookies, "_ROW_BYTES", 100_000)
    with pytest.raises(ProfileUnusable) as caught:
        read(profile, HOST)
    assert "rows of more than" in str(caught.value.detail)


def test_cookies_that_may_not_be_read_are_told_as_such() -> None:
    """A file without read permission is not mistaken for a profile without a login."""
    with unprivileged_directory() as folder:
        path = profile_with(folder, ("sessionid", HOST, LATER)) / "cookies.sqlite"
        path.chmod(0)
        with pytest.raises(ProfileUnusable) as caught:
            read_login(path.parent, HOST)
    assert "Permission denied" in str(caught.value.detail)


def test_no_value_of_a_cookie_is_shown(tmp_path: Path) -> None:
    """The result names cookies, and holds no value of one."""
    profile = profile_with(tmp_path, ("sessionid", HOST, LATER))
    assert CANARY not in repr(read_login(profile, HOST))


@pytest.mark.parametrize(
    ("host", "domain", "sent"),
    [
        (HOST, HOST, True),
        (HOST, ".tiktok.com", True),
        ("tiktok.com", ".tiktok.com", True),
        ("WWW.TikTok.com", ".tiktok.COM", True),
        (HOST, "tiktok.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("tiktok.com.evil.test", ".tiktok.com", False),
    ],
)
def test_cookies_are_sent_where_their_domain_says(host: str, domain: str, sent: bool) -> None:
    """A leading dot includes all subdomains; without it only the host itself matches."""
    assert is_sent_to(host, domain) is sent
