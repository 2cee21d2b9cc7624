"""What is printed: folded to the width of a terminal, and as ever where a program reads it."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from collections import Counter

import pytest

from suite.core.output import Output
from suite.core.paths import ROOT

ROWS = [
    {"name": "mambair-sr-x2", "params": "20,421,863", "lr": 0.0002, "what": "the recurrence in plain PyTorch; " * 4, "why": None},
    {"name": "mambair-light-x2.generation-2", "params": None, "lr": 1.5, "what": "", "why": "8 images on each of 8 GPUs, as released"},
    {"name": "x", "params": "", "lr": None, "what": "short", "why": "/a/path/to/somewhere/that/is/long/Set5"},
]
LINE = "  note: " + "a sentence of many words that goes on and on " * 4 + "/a/path/" + "of-one-word/" * 14
CODE = """
import sys
sys.path.insert(0, {tests!r})
import test_output as these
from suite.core.output import Output
out = Output(sys.stdout, wide={wide})
out.table(these.ROWS) if {table} else out.line(these.LINE)
"""


def in_terminal(width, *words, environment=None):
    """What a command prints in a terminal of `width` columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=inherited | (environment or {}),
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait() == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


def printed(width, *, table=True, wide=False):
    return in_terminal(width, "-c", CODE.format(tests=str(ROOT / "tests" / "core"), wide=wide, table=table))


def piped(rows):
    stream = io.StringIO()
    Output(stream).table(rows)
    return stream.getvalue()


def test_a_program_reads_one_line_a_row_whatever_its_length():
    assert piped(ROWS[1:]).splitlines() == [
        "NAME                           PARAMS  LR   WHAT   WHY",
        "mambair-light-x2.generation-2          1.5         8 images on each of 8 GPUs, as released",
        "x                                           short  /a/path/to/somewhere/that/is/long/Set5",
    ]
    assert piped([{"a": None}, {"a": ""}]) == "A\n\n\n"
    assert piped([]) == ""


@pytest.mark.parametrize("width", [60, 80, 120])
def test_in_a_terminal_no_line_is_longer_and_nothing_is_lost_or_split(width):
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text  # no colour, whatever NO_COLOR says
    cells = " ".join(str(value) for row in ROWS for value in row.values() if value is not None).split()
    assert Counter(cells) <= Counter(text.split())  # each whole: no number or name is broken over two lines


def test_columns_give_way_from_the_widest_and_a_narrow_terminal_gets_titles_and_values():
    folded = printed(120).splitlines()
    assert folded[0].split() == ["NAME", "PARAMS", "LR", "WHAT", "WHY"]
    assert folded[1].startswith("mambair-sr-x2                  20,421,863  0.0002  the recurrence in")
    assert folded[2].startswith(" " * len("mambair-sr-x2                  20,421,863  0.0002  "))
    titles = [line.split()[0] for line in printed(60).splitlines() if line and not line.startswith(" ")]
    assert titles == ["NAME", "PARAMS", "LR", "WHAT", "NAME", "LR", "WHY", "NAME", "WHAT", "WHY"]


def test_wide_is_what_a_program_reads():
    assert printed(60, wide=True) == piped(ROWS)
    assert printed(60, table=False, wide=True) == LINE + "\n"


def test_a_sentence_is_folded_between_words_and_a_path_stays_whole():
    first, second, *_, path = printed(60, table=False).splitlines()
    assert max(len(first), len(second)) <= 60
    assert second.startswith("    ")
    assert path.strip() == LINE.split()[-1]
    assert printed(60, table=False).split() == LINE.split()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("kind", ["recipes", "protocols", "tasks"])
def test_lists_fit_the_terminal_with_all_their_words(kind, width):
    command = ("-m", "suite", "list", kind)
    whole = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    text = in_terminal(width, *command, environment={"NO_COLOR": "1"})
    assert max(map(len, text.splitlines())) <= width < max(map(len, whole.splitlines()))
    assert Counter(whole.split("\n", 1)[1].split()) <= Counter(text.split())
    assert in_terminal(width, *command, "--wide") == whole
