"""The restored images of a set, kept as PNG beside the numbers: one that cannot be written costs images, never the numbers."""

from __future__ import annotations

import contextlib
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.files import write_whole
from suite.data.images import Pixels, encode_png

UNFINISHED = ".unfinished"  # in a folder until all of its images are there
REMEDY = "The numbers are measured all the same; the same command with room there writes all images anew."


class SavedImages:
    """A folder of restored images. After the first that cannot be written, `problem` says why, and no other is tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem: SuiteError | None = None

    def begin(self) -> None:
        """Make the folder and mark it; SuiteError where it cannot be written, or holds what an unfinished try of this did not leave."""
        folder, mark = self.folder, self.folder / UNFINISHED
        if folder.exists() and not (mark.exists() or (folder.is_dir() and not any(folder.iterdir()))):
            raise SuiteError(f"{folder} exists and is not empty; nothing is overwritten. Choose another --save, or empty it.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark.write_text("These images are being written, or were not all written.\n", encoding="ascii")
        except OSError as error:
            raise SuiteError(f"--save {folder} cannot be written: {error.strerror or error}.", exit=Exit.NOT_READY) from error

    def add(self, name: str, pixels: Pixels) -> None:
        """Write `pixels` (H, W, 3) as the image `name`, whole or not at all."""
        if self.problem is None:
            try:
                write_whole(self.folder / f"{name}.png", encode_png(pixels), REMEDY)
            except SuiteError as error:
                self.problem = error

    def finish(self) -> None:
        """Take the mark away where all images were written."""
        if self.problem is None:
            with contextlib.suppress(OSError):
                (self.folder / UNFINISHED).unlink(missing_ok=True)
