"""Bundles on a real disk."""

import io
import os
import stat
import time
import zipfile
from pathlib import Path

import pytest
import trio

from greenroom.actors.machine import bundles
from greenroom.actors.machine.bundles import KEEP_S, Bundles, LocalRecording


def files_in(content: bytes | None) -> dict[str, bytes]:
    assert content is not None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_bundle_has_its_files_and_the_pictures_in_order(tmp_path: Path) -> None:
    """Only its owner can read it, and nobody sees half of it."""
    kept = Bundles(tmp_path / "bundles")
    recording = LocalRecording("a-b", tmp_path, kept)
    for jpeg in (b"one", b"two"):
        await recording.add_picture(jpeg, keep_s=60)
        await trio.sleep(0.002)  # pictures are named by the millisecond
    await recording.keep(lambda: {"about.json": b"{}"})
    (path,) = (tmp_path / "bundles").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = files_in(await kept.read("a-b"))
    assert files.pop("about.json") == b"{}"
    assert list(files.values()) == [b"one", b"two"]
    assert all(name.startswith("pictures/") for name in files)


async def test_old_pictures_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their age, and by their size together."""
    recording = LocalRecording("a", tmp_path, Bundles(tmp_path / "bundles"))
    await recording.add_picture(b"old", keep_s=60)
    (picture,) = (tmp_path / "recorder").iterdir()
    picture.rename(picture.with_name(f"{time.time() - 61:.3f}.jpg"))
    await recording.add_picture(b"new", keep_s=60)
    assert [path.read_bytes() for path in (tmp_path / "recorder").iterdir()] == [b"new"]
    monkeypatch.setattr(bundles, "MAX_PICTURE_BYTES", 5)
    await trio.sleep(0.002)
    await recording.add_picture(b"newer", keep_s=60)
    assert [path.read_bytes() for path in (tmp_path / "recorder").iterdir()] == [b"newer"]


async def test_bundles_go_after_a_day_or_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first."""
    kept = Bundles(tmp_path)
    for number, name in enumerate("abc"):
        kept.put(name, {"x": os.urandom(1000)})
        os.utime(tmp_path / f"{name}.zip", (time.time() - 100 + number,) * 2)
    os.utime(tmp_path / "a.zip", (time.time() - KEEP_S - 1,) * 2)
    assert await kept.read("a") is None
    kept.put("d", {"x": b""})
    assert names_in(tmp_path) == {"b.zip", "c.zip", "d.zip"}
    monkeypatch.setattr(bundles, "MAX_BYTES", 1500)
    kept.put("e", {"x": b""})
    assert names_in(tmp_path) == {"c.zip", "d.zip", "e.zip"}


@pytest.mark.parametrize("name", ["../a", "a/b", "", "a" * 65, "a.zip", "ä", "a\0"])
async def test_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    """Whatever a client asks for."""
    (tmp_path / "a.zip").write_bytes(b"outside")
    kept = Bundles(tmp_path / "bundles")
    kept.put("a", {})
    assert await kept.read(name) is None


async def test_bundle_that_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    """The recorder logs it."""
    (tmp_path / "bundles").write_text("a file is in the way")
    with pytest.raises(OSError, match="Not a directory"):
        await LocalRecording("a", tmp_path, Bundles(tmp_path / "bundles")).keep(dict)
