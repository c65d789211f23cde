"""Files that clients send to sessions, on a real disk."""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import trio

from greenroom.actors.browser.client import files
from greenroom.actors.browser.client.files import store_file
from greenroom.actors.errors import InvalidAction, PageTooLarge, StorageFailed


async def names_in(folder: Path) -> list[str]:
    return [path.name for path in await trio.Path(folder).iterdir()]


async def pieces(*content: bytes) -> AsyncGenerator[bytes]:
    for piece in content:
        yield piece


async def test_file_is_stored_and_replaced(tmp_path: Path) -> None:
    """Readable by its owner only, as everything of a session."""
    folder = tmp_path / "files"
    await store_file(folder, "a.txt", pieces(b"one", b"two"))
    await store_file(folder, "a.txt", pieces(b"three"))
    assert await names_in(folder) == ["a.txt"]
    assert (folder / "a.txt").read_bytes() == b"three"
    assert (await trio.Path(folder).stat()).st_mode & 0o777 == 0o700
    assert await names_in(tmp_path) == ["files"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/etc/passwd", "a\\b", "a\0", "a\n", "\ud800", "ü" * 101]
)
async def test_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written."""
    with pytest.raises(InvalidAction):
        await store_file(tmp_path / "files", name, pieces(b"x"))
    assert await names_in(tmp_path) == []


async def test_too_large_a_file_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not cut off but refused."""
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 5)
    await store_file(tmp_path / "files", "a", pieces(b"12345"))
    async with contextlib.aclosing(pieces(b"123", b"456")) as content:
        with pytest.raises(PageTooLarge):
            await store_file(tmp_path / "files", "a", content)
    assert (tmp_path / "files" / "a").read_bytes() == b"12345"
    assert await names_in(tmp_path) == ["files"]


async def test_disk_that_takes_nothing_is_a_lack_of_room(tmp_path: Path) -> None:
    """Not an internal error."""
    with pytest.raises(StorageFailed):
        await store_file(tmp_path / "gone" / "files", "a", pieces(b"x"))
