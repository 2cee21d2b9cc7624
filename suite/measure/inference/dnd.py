"""DND, whose targets a server keeps: its crops restored into the files that are submitted.

Of each of its fifty photographs `info.mat` lists twenty boxes: first row, first column, last row, last column, counted from 1. The server
is sent a .mat file a photograph: the cell array `Idenoised` of its restored crops, in single precision and 0..1, not rounded, with `israw`
and `eval_version` as the benchmark's own scripts for sRGB write them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing
from suite.data.mat_files import read_cells, read_variable
from suite.measure.inference.restorer import Restorer, as_float

INFO, VARIABLE = "info.mat", "InoisySRGB"
FOLDERS = ("images_srgb", "ValidationNoisyBlocksSrgb")  # as the benchmark ships it, and MambaIR's
EVAL_VERSION = "1.0"

Box = tuple[int, int, int, int]  # top, left, bottom, right, as slices count


@dataclass(frozen=True)
class Photograph:
    """A photograph's file, its boxes, and the file to submit."""

    source: Path
    target: Path
    boxes: tuple[Box, ...]


def is_dnd(folder: Path) -> bool:
    """Return whether `folder` holds DND as it is shipped."""
    return (folder / INFO).is_file() and any((folder / name).is_dir() for name in FOLDERS)


def plan_photographs(folder: Path, out: Path, *, overwrite: bool) -> list[Photograph]:
    """Plan what is to be done, before the first photograph is read; SuiteError where one is missing, or a result is there already."""
    images = next(folder / name for name in FOLDERS if (folder / name).is_dir())
    jobs = []
    for number, boxes in enumerate(read_cells(folder / INFO, "info", "boundingboxes"), 1):
        file = f"{number:04d}.mat"
        rows = [tuple(int(value) for value in row[:4]) for row in np.atleast_2d(boxes)]
        jobs.append(Photograph(images / file, out / file, tuple((top - 1, left - 1, *last) for top, left, *last in rows)))
    missing = [job.source.name for job in jobs if not job.source.is_file()]
    if missing:
        raise SuiteError(
            f"{folder / INFO} lists {len(jobs)} photographs, and {images} has {len(missing)} fewer, such as {missing[0]}. "
            "The server takes all of them: complete the folder.",
            exit=Exit.NOT_READY,
        )
    there = [job.target for job in jobs if job.target.exists()]
    if there and not overwrite:
        raise SuiteError(f"{len(there)} of {len(jobs)} files to submit are there already, such as {there[0]}. --overwrite replaces them.")
    return jobs


def restore_photograph(job: Photograph, restore: Restorer) -> None:
    """Restore every box by itself and write the file to submit, whole or not at all; SuiteError names a file that does not fit."""
    from scipy.io import savemat  # late: slow to load

    image = read_variable(job.source, VARIABLE)
    crops = np.empty((1, len(job.boxes)), dtype=object)
    for index, box in enumerate(job.boxes):
        top, left, bottom, right = box
        crop = image[top:bottom, left:right]
        if min(box) < 0 or crop.shape != (bottom - top, right - left, 3):
            raise SuiteError(
                f"{job.source} holds {'x'.join(map(str, image.shape))} values; rows {top + 1} to {bottom} and columns {left + 1} to "
                f"{right} of {INFO} are not part of it in three channels. Replace the files.",
                exit=Exit.NOT_READY,
            )
        crops[0, index] = np.clip(as_float(restore(crop.astype(np.float32))), 0, 1).astype(np.float32)
    try:
        with replacing(job.target) as file:
            savemat(file, {"Idenoised": crops, "israw": False, "eval_version": EVAL_VERSION})
    except OSError as error:
        raise SuiteError(f"{job.target} cannot be written: {error}. Free space or choose another OUT.", exit=Exit.NOT_READY) from error
