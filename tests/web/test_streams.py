"""A daemon's standard output and error, with readers of every kind."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.web.streams import PatientStream
from tests.patience import patience

# How much a pipe takes before its writer has to wait.
PIPE_BYTES = 65536
SOON_S = patience(20.0)


def describe_loss(count: int) -> str:
    return f"lost {count}\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads unless the test does."""
    reader, writer = os.pipe()
    yield reader, writer
    os.set_blocking(reader, False)
    while select.select([reader], [], [], 0.01)[0] and os.read(reader, PIPE_BYTES):
        pass
    for end in (reader, writer):
        os.close(end)


def read_lines(reader: int, *, until: str) -> list[str]:
    """Read up to a line that begins with `until`; return all lines."""
    data = b""
    while not data.endswith(b"\n") or not data.splitlines()[-1].startswith(until.encode()):
        assert select.select([reader], [], [], SOON_S)[0], data[-200:]
        data += os.read(reader, 2 * PIPE_BYTES)
    return data.decode().splitlines()


def test_pipe_nobody_reads_delays_no_writer_and_lost_lines_are_counted(
    pipe: tuple[int, int],
) -> None:
    """Writing never waits for a reader. A late reader learns where lines are missing."""
    reader, writer = pipe
    stream = PatientStream(writer, describe_loss=describe_loss, max_pending=4 * PIPE_BYTES)
    stream.write("x" * 2 * PIPE_BYTES + "\n")  # more than the pipe holds
    for number in range(1_000):
        stream.write(f"{number:0999}\n")
    assert not stream.drain(0.01)
    got = read_lines(reader, until="lost ")
    stream.write("end\n")
    got += read_lines(reader, until="end")
    lost = int(got[-2].removeprefix("lost "))
    assert lost > 0
    assert [int(line) for line in got[1:-2]] == list(range(1_000 - lost))
    assert got[-1] == "end"
    assert stream.drain(SOON_S)


def test_line_after_a_loss_follows_its_count(pipe: tuple[int, int]) -> None:
    """The count stands between the text before the gap and the text after it."""
    reader, writer = pipe
    stream = PatientStream(writer, describe_loss=describe_loss, max_pending=10)
    stream.write("x" * 2 * PIPE_BYTES + "\n")  # taken, since nothing else waits
    stream.write("too much")
    stream.write("too much")
    stream._max_pending = 8 * PIPE_BYTES  # as if room had been made
    stream.write("after\n")
    assert read_lines(reader, until="after")[-2:] == ["lost 2", "after"]


def test_pipe_without_reader_loses_lines_until_there_is_one_again(tmp_path: Path) -> None:
    """A reader that leaves ends nothing. The next one learns how many lines were lost."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    first = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    stream = PatientStream(writer, describe_loss=describe_loss)
    stream.write("one\n")
    assert read_lines(first, until="one") == ["one"]
    os.close(first)
    stream.write("two\n")
    stream.write("three\n")
    assert stream.drain(SOON_S)
    second = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    stream.write("four\n")
    assert read_lines(second, until="four") == ["lost 2", "four"]
    for descriptor in (second, writer):
        os.close(descriptor)


@pytest.mark.parametrize("device", ["/dev/full", None], ids=["no space", "closed"])
def test_writing_that_fails_raises_nothing(device: str | None) -> None:
    """On a full disk or a closed descriptor, only the text is lost."""
    descriptor = os.open(device or os.devnull, os.O_WRONLY)
    if device is None:
        os.close(descriptor)
    stream = PatientStream(descriptor, describe_loss=describe_loss)
    for _ in range(3):
        stream.write("lost\n")
    assert stream.drain(SOON_S)
    assert not stream.isatty()
    if device is not None:
        os.close(descriptor)


def test_descriptor_made_non_blocking_by_others_loses_nothing(pipe: tuple[int, int]) -> None:
    """A shell or a parent process may have put its end of our output into that mode."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    stream = PatientStream(writer, describe_loss=describe_loss)
    stream.write("x" * 3 * PIPE_BYTES + "\n")
    stream.write("end\n")
    assert len(read_lines(reader, until="end")[0]) == 3 * PIPE_BYTES


def test_text_that_is_not_unicode_is_escaped(pipe: tuple[int, int]) -> None:
    """A path may contain bytes that are not Unicode, whatever the locale."""
    reader, writer = pipe
    PatientStream(writer).write("caf\udce9 \u2713\n")
    assert read_lines(reader, until="caf") == ["caf\\udce9 \u2713"]


def test_process_without_standard_streams_gives_their_numbers_to_nothing_else() -> None:
    """A daemon that is started with closed descriptors never prints into a file of its own."""
    program = (
        "import os, greenroom.web.streams as s; s.open_missing_streams(); s.be_patient(); print(1);"
        "s.say_last_words();"
        "os._exit(0 if all(os.readlink(f'/proc/self/fd/{n}') == os.devnull for n in range(3)) else 1)"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec {sys.executable} -c "{program}" <&- >&- 2>&-'], check=False, timeout=SOON_S
    )
    assert done.returncode == 0


def test_exiting_process_waits_a_moment_for_its_last_output(pipe: tuple[int, int]) -> None:
    """A traceback at the very end is written if possible, but doesn't keep the process from ending."""
    reader, writer = pipe
    program = "import greenroom.web.streams as s; s.LAST_WORDS_S = {}; s.be_patient(); print('x' * {}); 1 / 0"
    with subprocess.Popen(
        [sys.executable, "-c", program.format(0.01, 2 * PIPE_BYTES)], stderr=writer, stdout=writer
    ) as stuck:
        assert stuck.wait(SOON_S) == 1
    os.set_blocking(reader, False)
    os.read(reader, 2 * PIPE_BYTES)
    with subprocess.Popen(
        [sys.executable, "-c", program.format(SOON_S, 1)], stderr=writer, stdout=subprocess.DEVNULL
    ) as crashed:
        assert crashed.wait(SOON_S) == 1
    assert read_lines(reader, until="ZeroDivisionError: ")[-1] == "ZeroDivisionError: division by zero"
