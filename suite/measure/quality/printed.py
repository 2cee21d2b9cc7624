"""Which protocol gives a printed number: means that round to it, and the nearest where none does."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

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
            return f"No protocol gives {self.text}; the nearest is {one.protocol}: {one.metric} {one.value:.5g} ({one.difference:+.2g})."
        found = ", ".join(f"{one.protocol} ({one.metric} {one.value:.6g})" for one in self.given_by)
        return f"{self.text} is what {'this gives' if len(self.given_by) == 1 else 'these give'}: {found}."


def find_printed(scores: Scores, text: str) -> PrintedNumber:
    """Return which of the protocols' means round to a printed number; below 1 it is held against SSIM and LPIPS, otherwise against PSNR.

    SuiteError where `text` is no number.
    """
    try:
        printed = Decimal(text)
    except InvalidOperation:
        raise SuiteError(f"--printed {text!r} is not a number as papers print them, e.g. 38.27 or 0.9614.") from None
    if not printed.is_finite() or printed < 0:
        raise SuiteError(f"--printed {text!r} is not a quality: a number from 0 on, e.g. 38.27 or 0.9614.")
    unit = 10.0 ** int(printed.as_tuple().exponent)
    means = [(key, metric, value) for key, sheet in scores.sheets.items() for metric, value in sheet.mean.items()]
    kind = [(key, metric, value) for key, metric, value in means if metric.startswith("PSNR") == (printed > BOUNDED)]
    found = sorted((Given(key, metric, value, value - float(printed)) for key, metric, value in kind), key=lambda one: abs(one.difference))
    within = unit / 2 * (1 + 1e-9)
    return PrintedNumber(text, tuple(one for one in found if abs(one.difference) <= within), found[0])
