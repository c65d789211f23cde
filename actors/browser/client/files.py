"""Files that clients send to their sessions."""

import contextlib
from collections.abc import AsyncIterable
from pathlib import Path
from typing import IO, Final

from greenroom.actors.errors import InvalidAction, PageTooLarge
from greenroom.actors.threads import Purpose, in_thread

# Where the host looks for them in a session's scratch.
FILES: Final = "files"
MAX_FILE_BYTES: Final = 50 << 20
_MAX_FILES = 100


async def store_file(folder: Path, name: str, content: AsyncIterable[bytes]) -> None:
    """Write a file into `folder`, in place of one of the same name once it is complete.

    Raises `PageTooLarge`, `InvalidAction`, or `OSError`, with nothing left behind.
    """
    if Path(name).name != name:
        raise InvalidAction("A file's name has no path in it")
    written = 0
    part = folder / f".{name[:100]}.part"
    with contextlib.ExitStack() as stack:
        file = await in_thread(Purpose.RESULTS, _open, folder, part)
        stack.callback(part.unlink, missing_ok=True)
        stack.enter_context(file)
        async for piece in content:
            written += len(piece)
            if written > MAX_FILE_BYTES:
                raise PageTooLarge(f"A file may have {MAX_FILE_BYTES} bytes")
            await in_thread(Purpose.RESULTS, file.write, piece)
        await in_thread(Purpose.RESULTS, _complete, file, part, folder / name)


def _open(folder: Path, part: Path) -> IO[bytes]:
    folder.mkdir(mode=0o700, exist_ok=True)
    if sum(1 for _ in folder.iterdir()) >= _MAX_FILES:
        raise InvalidAction(f"A session keeps {_MAX_FILES} files at most")
    return part.open("wb")


def _complete(file: IO[bytes], part: Path, path: Path) -> None:
    file.close()
    part.rename(path)
