"""What an operation came to: bytes that are in memory if they are few, and else in an unnamed file."""

import os
import tempfile
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

import attrs

from greenroom.actors.threads import Work, in_thread

IN_MEMORY_BYTES: Final = 1 << 20
_PIECE_BYTES = 1 << 16


@attrs.define(eq=False, repr=False, slots=False)  # a weak reference closes the file
class Result:
    """The bytes that an operation came to. It outlives its session.

    The file is in `folder`, if there is one, without a name: it is gone with the result, whoever dies.
    """

    _folder: Path | None = None
    size: int = attrs.field(default=0, init=False)
    _kept: bytearray = attrs.field(factory=bytearray, init=False)
    _file: IO[bytes] | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, content: bytes) -> "Result":
        """Return a result in memory."""
        result = cls()
        result._kept += content
        result.size = len(content)
        return result

    async def add(self, piece: bytes) -> None:
        """Append a piece. Raises `OSError` where the disk has no room."""
        self.size += len(piece)
        if self._file is None and (self.size <= IN_MEMORY_BYTES or self._folder is None):
            self._kept += piece
            return
        await in_thread(Work.RESULTS, self._write, piece)

    def _write(self, piece: bytes) -> None:
        if self._file is None:
            file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # closed with the result
            self._file = file
            weakref.finalize(self, file.close)
            _write_all(file, bytes(self._kept))
            self._kept.clear()
        _write_all(self._file, piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield all bytes, in pieces of at most 64 KB."""
        for start in range(0, self.size, _PIECE_BYTES):
            if self._file is None:
                yield bytes(memoryview(self._kept)[start : start + _PIECE_BYTES])
            else:
                yield await in_thread(Work.RESULTS, os.pread, self._file.fileno(), _PIECE_BYTES, start)

    async def read(self) -> bytes:
        """Return all bytes."""
        return b"".join([piece async for piece in self.pieces()])


def _write_all(file: IO[bytes], piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]
