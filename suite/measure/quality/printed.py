"""Which protocol gives a printed number: means that round to it, and the nearest where none does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from suite.core.errors import SuiteError
from suite.measure.quality.scoring import Scores

BOUNDED = 1.0  # SSIM and LPIPS lie below, PSNR above


@dataclass(frozen=True)
class Given:
    """A protocol's mean, beside the printed number."""

    protocol: str  # its key
    metric: str
    value: float
    difference: float  # from the printed number


@dataclass(frozen=True)
class PrintedNumber:
    """A number as it is printed, e.g. "38.27", whose digits say how it was rounded."""

    text: str
    given_by: tuple[Given, ...]
    nearest: Given

    @property
    def sentence(self) -> str:
        """Say which protocols give it."""
        if not self.given_by:
            one = self.nearest
            nearest = f"{one.protocol} ({one.metric} {one.value:.6g}, {one.difference:+.2g})"
            return f"No protocol scored here gives {self.text}; the nearest is {nearest}."
        found = ", ".join(f"{one.protocol} ({one.metric} {one.value:.6g})" for one in self.given_by)
        return f"{self.text} is given by {found}."


def find_printed(scores: Scores, text: str) -> PrintedNumber:
    """Return which of the protocols' means round to a printed number; below 1 it is held against SSIM and LPIPS, otherwise against PSNR.

    SuiteError where `text` is no number.
    """
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise SuiteError(f"--printed {text!r} is not a number as papers print them, e.g. 38.27 or 0.9614.")
    printed = float(text)
    unit = 10.0 ** -len(text.partition(".")[2])
    means = [(key, metric, value) for key, sheet in scores.sheets.items() for metric, value in sheet.mean.items()]
    kind = [(key, metric, value) for key, metric, value in means if metric.startswith("PSNR") == (printed > BOUNDED)]
    found = sorted((Given(key, metric, value, value - printed) for key, metric, value in kind), key=lambda one: abs(one.difference))
    within = unit / 2 * (1 + 1e-9)
    return PrintedNumber(text, tuple(one for one in found if abs(one.difference) <= within), found[0])
