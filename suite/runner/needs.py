"""What cells need that this machine may lack: data, a GPU and its time, the weights that a loss is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from suite.core.errors import SuiteError
from suite.core.text import format_clock
from suite.data.cards import Card, card
from suite.data.layouts.locate import locate
from suite.data.sets import card_name
from suite.records.planned import SETS
from suite.records.record import Attempt
from suite.records.spec import RunSpec
from suite.runner.cell_time import NOT_MEASURED, GpuClock, TimeRange, choose_kind
from suite.runner.estimate import estimate_roughly

VGG19 = "VGG19's weights"  # of which a GAN recipe makes its loss


def describe_needs(specs: Sequence[RunSpec], records: Iterable[Attempt]) -> Iterator[str]:
    """Yield a sentence on the data that is missing here, on missing weights, and on the time of one GPU; nothing where all is here."""
    missing = dict.fromkeys(name for spec in specs for field in SETS if not is_here(name := getattr(spec, field)))
    if missing:
        yield f"data missing here: {', '.join(map(describe_set, missing))}. `python -m suite data show NAME` says where it is looked for."
    if any(spec.discriminator_lr for spec in specs):
        from suite.training.losses import vgg19_file

        if not vgg19_file().is_file():
            yield f"{VGG19}, of which a GAN recipe makes its loss, are missing here: {vgg19_file()}."
    trained = [spec for spec in specs if spec.device == "cuda" and not spec.width]
    if trained:
        kind, why = choose_kind()
        clock = GpuClock(kind, records)
        span, bases = _add_times([clock.estimate_training(spec) for spec in trained])
        cells = "1 cell takes" if len(trained) == 1 else f"{len(trained)} cells take"
        yield f"{cells} {span} of one {kind} ({bases}){why and f': {why}'}."


def make_teller(records: Sequence[Attempt]) -> Callable[[Sequence[RunSpec]], str]:
    """Return what says in a few words what cells take: images, hardware and time, and which sets are missing on this machine.

    Times are those of `claims --plan`: of a kind of GPU, from `records` where they tell, else a range that is not measured.
    """
    kind, _ = choose_kind()
    clock, looked_for = GpuClock(kind, records), cache(is_here)

    def tell(specs: Sequence[RunSpec]) -> str:
        """Say what these cells take."""
        sets = dict.fromkeys([*(spec.train_set for spec in specs), specs[-1].test_set])
        weights = [VGG19] if any(spec.discriminator_lr for spec in specs) else []
        missing = [name for name in sets if not looked_for(name)]
        parts = [
            ", ".join([*map(describe_set, sets), *weights]),
            _say_time(clock, specs),
            missing and f"missing here: {', '.join(missing)}",
        ]
        return "; ".join(filter(None, parts))

    return tell


def _say_time(clock: GpuClock, specs: Sequence[RunSpec]) -> str:
    """Say how long cells take: whole networks on the clock's GPU, narrow ones by the rule for processors; "" where there is none."""
    if not any(spec.width for spec in specs):
        times = [clock.estimate_training(spec) for spec in specs]
        low, high = (f"{sum(getattr(one, end) for one in times) / 3600:,.0f}" for end in ("low", "high"))
        span = low if low == high else f"{low} to {high}"
        return f"{span} GPU-hours of one {clock.kind}, {'measured' if all(one.measured for one in times) else NOT_MEASURED}"
    seconds = [estimate_roughly(spec) for spec in specs]
    known = [one for one in seconds if one is not None]
    return f"about {format_clock(sum(known))} of one core, by a rule" if len(known) == len(seconds) else ""


def _add_times(times: Sequence[TimeRange]) -> tuple[str, str]:
    """Return the sum of the ranges, in words, and what they rest on."""
    low, high = (format_clock(sum(getattr(one, end) for one in times)) for end in ("low", "high"))
    return low if low == high else f"{low} to {high}", "; ".join(dict.fromkeys(one.basis for one in times))


def is_here(name: str) -> bool:
    """Return whether a data set, or all of its parts, is on this machine; a folder, if it exists."""
    known = card_name(name)
    if known is None:
        return Path(name).is_dir()
    chosen = card(known)
    parts = [card(part.rpartition(":")[0]) for part in chosen.parts]
    return _is_found(chosen) or (bool(parts) and all(map(_is_found, parts)))


def describe_set(name: str) -> str:
    """Return a data set with its number of images, where its card states one."""
    known = card_name(name)
    images = sum(card(known).splits.values()) if known else 0
    return f"{known or name} ({images:,} images)" if images else name


def _is_found(chosen: Card) -> bool:
    try:
        return bool(chosen.package) or bool(locate(chosen))
    except SuiteError:
        return False
