"""`verify --sample`: some images of a bundle's records, drawn at random and measured again."""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note, printable

if TYPE_CHECKING:
    from suite.measure.quality.again import Again
    from suite.records.record import Attempt

NAMED = 2  # images beside the reason that they share


@dataclass(frozen=True)
class Sample:
    """What was drawn, and how it was found."""

    seed: int
    found: Sequence[Again]

    @property
    def measured(self) -> int:
        """Return how many were measured."""
        return sum(one.state != "not measured" for one in self.found)

    @property
    def differ(self) -> int:
        """Return how many were found otherwise."""
        return sum(one.state == "differs" for one in self.found)

    def sentence(self) -> str:
        """Say what the sample shows."""
        lacking = len(self.found) - self.measured
        counts = f"Of {len(self.found)} images that were drawn, {self.measured - self.differ} agree"
        counts += f", {self.differ} do not" if self.differ else ""
        counts += f", {lacking} could not be measured here" if lacking else ""
        return f"{counts}. `--draw {self.seed}` draws the same again."

    def document(self) -> dict[str, object]:
        """Return it for --json."""
        rows = [
            {
                "record": one.drawn.file,
                "image": one.drawn.image,
                "state": one.state,
                "stored": dict(one.stored),
                "measured": dict(one.found),
                "why": one.why,
            }
            for one in self.found
        ]
        return {"draw": self.seed, "images": rows}


def check_options(options: argparse.Namespace) -> None:
    """Refuse what a sample cannot be drawn or measured with."""
    if options.sample is not None and options.sample < 1:
        raise SuiteError(f"--sample {options.sample} measures nothing; it must be at least 1.", exit=Exit.NOTHING)
    given = {"--draw": options.draw is not None, "--data": options.data, "--weights": options.weights, "--ledger": options.ledger}
    if options.sample is None and any(given.values()):
        raise SuiteError(f"{next(name for name, value in given.items() if value)} is for --sample N.")
    if options.draw is not None and options.draw < 0:
        raise SuiteError(f"--draw {options.draw}: a seed is 0 or more.")
    for name, place, there in (("--data", options.data, "is_dir"), *(("--weights", path, "exists") for path in options.weights)):
        if place is not None and not getattr(place, there)():
            raise SuiteError(
                f"{name} {place}: there is no such {'folder' if there == 'is_dir' else 'file or folder'}.", exit=Exit.NOT_READY
            )


def measure_sample(records: Mapping[str, Attempt], options: argparse.Namespace, out: Output) -> Sample:
    """Draw, measure, and print a table; why some could not be measured stands below it."""
    from suite.core.parallel import show_progress
    from suite.measure.quality.again import Remeasurer, draw_images
    from suite.records.ledger import Ledger

    if options.data is not None:
        os.environ["SUITE_DATA"] = str(options.data.absolute())  # of this process and of those that it starts
    seed = secrets.randbelow(2**31) if options.draw is None else options.draw
    drawn = draw_images(records, options.sample, seed)
    measurer = Remeasurer(records, options.data, options.weights, Ledger(options.ledger).weights, note)
    found = list(show_progress(measurer.measure(drawn), len(drawn), "images measured again"))
    if not options.json:
        out.table([row for one in found for row in _rows(one)])
        for why in dict.fromkeys(one.why for one in found if one.why):
            told = [f"{one.drawn.image} of {one.drawn.record.spec.label}" for one in found if one.why == why]
            more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
            out.line(printable(f"{', '.join(told[:NAMED])}{more}: {why}"))
    return Sample(seed, found)


def _rows(one: Again) -> Iterator[dict[str, object]]:
    for metric in one.found or list(one.stored)[:1]:
        stored, found = one.stored[metric], one.found.get(metric)
        yield {
            "record": printable(one.drawn.record.spec.label),
            "image": printable(one.drawn.image),
            "metric": printable(metric),
            "recorded": f"{stored:.5f}",
            "again": None if found is None else f"{found:.5f}",
            "difference": None if found is None else f"{found - stored:+.1e}",
            "result": one.state,
        }
