"""Files that clients send to their sessions."""

import contextlib
from collections.abc import AsyncIterable
from pathlib import Path
from typing import IO, Final

import msgspec

from greenroom.actors.actions.actions import MAX_NAME_BYTES, FileName
from greenroom.actors.errors import InvalidAction, PageTooLarge, StorageFailed
from greenroom.actors.threads import Work, in_thread

MAX_FILE_BYTES: Final = 50 << 20
_MAX_FILES = 100


async def store_file(folder: Path, name: str, content: AsyncIterable[bytes]) -> None:
    """Write a file into `folder`, in place of one of the same name once it is complete.

    Raises `PageTooLarge`, `InvalidAction`, or `StorageFailed` if it can't be written. Nothing is left
    behind then.
    """
    check_name(name)
    try:
        await _store(folder, name, content)
    except OSError as exc:
        raise StorageFailed("The session's files can't be written", detail=str(exc)) from exc


def check_name(name: str) -> None:
    """Raise `InvalidAction` unless a file can have this name."""
    try:
        msgspec.convert(name, FileName)
        is_short = len(name.encode()) <= MAX_NAME_BYTES
    except (msgspec.ValidationError, UnicodeEncodeError):
        is_short = False
    if not is_short or name in {".", ".."}:
        raise InvalidAction(f"A file's name has no path in it, and {MAX_NAME_BYTES} bytes at most")


async def _store(folder: Path, name: str, content: AsyncIterable[bytes]) -> None:
    written = 0
    part = folder.with_name("file.part")
    with contextlib.ExitStack() as stack:
        file = await in_thread(Work.RESULTS, _open, folder, part)
        stack.callback(part.unlink, missing_ok=True)
        stack.enter_context(file)
        async for piece in content:
            written += len(piece)
            if written > MAX_FILE_BYTES:
                raise PageTooLarge(f"A file may have {MAX_FILE_BYTES} bytes")
            await in_thread(Work.RESULTS, file.write, piece)
        await in_thread(Work.RESULTS, _complete, file, part, folder / name)


def _open(folder: Path, part: Path) -> IO[bytes]:
    folder.mkdir(mode=0o700, exist_ok=True)
    if sum(1 for _ in folder.iterdir()) >= _MAX_FILES:
        raise InvalidAction(f"A session keeps {_MAX_FILES} files at most")
    return part.open("wb")


def _complete(file: IO[bytes], part: Path, path: Path) -> None:
    file.close()
    part.rename(path)
