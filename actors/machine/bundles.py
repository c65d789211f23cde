"""Bundles on this machine's disk: what is kept of sessions that have failed, for a day."""

import contextlib
import io
import os
import re
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import attrs

from greenroom.actors.profile import make_private
from greenroom.actors.threads import Work, in_thread

KEEP_S: Final = 24 * 3600
MAX_BYTES: Final = 500 << 20
# Of the pictures that wait in one session's scratch.
MAX_PICTURE_BYTES: Final = 10 << 20
_FOLDER = "recorder"
_SESSION = re.compile(r"[0-9a-zA-Z-]{1,64}")


@attrs.frozen
class Bundles:
    """The bundles in a folder, which only its owner can read. The oldest go first when there are too many."""

    folder: Path

    async def read(self, session_id: str) -> bytes | None:
        """Return a bundle's bytes, or None if there is none, or not any more."""
        return await in_thread(Work.RESULTS, self._read, session_id)

    def _read(self, session_id: str) -> bytes | None:
        if not _SESSION.fullmatch(session_id):
            return None
        path = self._path(session_id)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime > time.time() - KEEP_S:
                return path.read_bytes()
        return None

    async def kept(self) -> frozenset[str]:
        """Return the ids of the sessions whose bundles can be read."""
        return await in_thread(Work.RESULTS, self.list_kept)

    def list_kept(self) -> frozenset[str]:
        """Return the ids of the sessions whose bundles can be read. Blocks."""
        found = set()
        for path in self.folder.glob("*.zip"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime > time.time() - KEEP_S:
                    found.add(path.stem)
        return frozenset(found)

    def _path(self, session_id: str) -> Path:
        return self.folder / f"{session_id}.zip"

    def put(self, session_id: str, files: Mapping[str, bytes]) -> None:
        """Keep a bundle. Blocks. Raises `OSError`."""
        make_private(self.folder)
        path = self._path(session_id)
        unfinished = path.with_suffix(".part")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_zip(files))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        self._prune()

    def _prune(self) -> None:
        found = []
        for path in self.folder.glob("*.zip"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        room = MAX_BYTES
        for at, size, path in sorted(found, reverse=True):
            room -= size
            if room < 0 or at < time.time() - KEEP_S:
                path.unlink(missing_ok=True)


def _zip(files: Mapping[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return memory.getvalue()


@attrs.define(eq=False, repr=False)
class LocalRecording:
    """One session's pictures, in its scratch, and the way to its bundle. Satisfies `ports.Recording`."""

    _session_id: str
    _scratch: Path
    _bundles: Bundles

    async def add_picture(self, jpeg: bytes, *, keep_s: float) -> None:
        """See `ports.Recording`."""
        await in_thread(Work.RESULTS, self._add_picture, jpeg, keep_s)

    def _add_picture(self, jpeg: bytes, keep_s: float) -> None:
        folder = self._scratch / _FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        now = time.time()
        (folder / f"{now:.3f}.jpg").write_bytes(jpeg)
        room = MAX_PICTURE_BYTES
        for path in sorted(folder.glob("*.jpg"), reverse=True):
            room -= path.stat().st_size
            if room < 0 or float(path.stem) < now - keep_s:
                path.unlink()

    async def keep(self, make_files: Callable[[], Mapping[str, bytes]]) -> None:
        """See `ports.Recording`."""
        await in_thread(Work.BUNDLES, self._keep, make_files)

    def _keep(self, make_files: Callable[[], Mapping[str, bytes]]) -> None:
        folder = self._scratch / _FOLDER
        pictures = sorted(folder.glob("*.jpg")) if folder.is_dir() else []
        self._bundles.put(
            self._session_id,
            {**make_files(), **{f"pictures/{path.name}": path.read_bytes() for path in pictures}},
        )
