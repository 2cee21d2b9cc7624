"""Pairing the low-quality files of a set with their targets, by name: never by position, whatever the images' endings.

A target of the image `baby` is called baby, baby_HR, baby_HR_x4 or baby_SRF_4_HR, its low-quality file baby, babyx4, baby_x4, baby_LR_x4,
baby_LRBI_x4 and so on (HQ_NAMES and LQ_NAMES), unless a layout says how its files are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.core.errors import Exit, SuiteError

# How files of the image {} are called, {s} being the scale: MambaIR, BasicSR and DIV2K, RCAN, SelfExSR.
HQ_NAMES = ("{}", "{}_HR", "{}_HR_x{s}", "{}_SRF_{s}_HR")
LQ_NAMES = ("{}", "{}x{s}", "{}_x{s}", "{}_LR", "{}_LR_x{s}", "{}_LRBI_x{s}", "{}_SRF_{s}_LR")
EXAMPLES = 3  # names shown of a longer list


@dataclass(frozen=True)
class Pairing:
    """(image's name, target, low-quality file) in the order of the targets, and what found no partner."""

    pairs: tuple[tuple[str, Path, Path], ...]
    lonely_hq: tuple[Path, ...] = ()
    lonely_lq: tuple[Path, ...] = ()
    doubtful: tuple[str, ...] = ()  # sentences: one file that fits several

    def problems(self) -> list[str]:
        """A sentence for each thing that is wrong; none where every file has its partner."""
        sides = (("high", "low", self.lonely_hq), ("low", "high", self.lonely_lq))
        alone = [
            f"{len(paths)} {quality}-quality without {missing}-quality in {paths[0].parent} ({shortened([path.name for path in paths])})"
            for quality, missing, paths in sides
            if paths
        ]
        return [*self.doubtful, *alone]


def shortened(names: Sequence[str]) -> str:
    """The first EXAMPLES names, and dots where there are more."""
    return ", ".join(names[:EXAMPLES]) + (" ..." if len(names) > EXAMPLES else "")


def pair_up(
    hq_paths: Sequence[Path],
    lq_paths: Sequence[Path],
    *,
    scale: int = 1,
    level: int | None = None,
    hq_names: Sequence[str] = (),
    lq_names: Sequence[str] = (),
) -> Pairing:
    """Pairs the files of two folders; `hq_names` and `lq_names` are patterns with `{}` for the image's name (none: the usual ones).

    A difference in case is overlooked where no file of the exact name is there. With patterns of their own, files that fit none
    are left alone: in some layouts both sides share a folder.
    """
    high = [(path, _cores(path.stem, filled(hq_names or HQ_NAMES, scale, level))) for path in hq_paths]
    patterns = filled(lq_names or LQ_NAMES, scale, level)
    by_stem = {path.stem: path for path in lq_paths if not lq_names or _cores(path.stem, patterns)}
    by_fold = {path.stem.casefold(): path for path in reversed(by_stem.values())}
    pairs, lonely, doubtful = [], [], []
    taken: dict[Path, Path] = {}
    for path, cores in high:
        if not cores:
            continue
        wanted = {core: [pattern.replace("{}", core) for pattern in patterns] for core in cores}
        fits = {stem: core for core, stems in reversed(wanted.items()) for stem in stems if stem in by_stem}
        found = {by_stem[stem]: core for stem, core in fits.items()}
        if not found:
            folds = [(stem.casefold(), core) for core, stems in wanted.items() for stem in stems]
            found = {by_fold[stem]: core for stem, core in folds if stem in by_fold}
        if not found:
            lonely.append(path)
            continue
        partner = min(found)
        if len(found) > 1:
            doubtful.append(f"{path} fits several low-quality files: {', '.join(sorted(one.stem for one in found))}. Keep one.")
        elif partner in taken:
            doubtful.append(f"{partner} fits both {taken[partner].name} and {path.name}. Rename one.")
        else:
            pairs.append((min(cores, key=len), path, partner))
        taken.update(dict.fromkeys(found, path))
    spare = tuple(path for path in by_stem.values() if path not in taken)
    return Pairing(tuple(pairs), tuple(lonely), spare, tuple(doubtful))


def only_pairs(pairing: Pairing, scale: int) -> list[tuple[str, Path, Path]]:
    """The pairs; SuiteError lists what is left over, with counts and examples."""
    wrong = pairing.problems()
    if wrong:
        endings = ", ".join(repr(name.removeprefix("{}")) for name in filled(LQ_NAMES, scale, None))
        raise SuiteError(
            f"files are paired by name, and not all have one partner: {'; '.join(one.rstrip('.') for one in wrong)}. "
            f"A low-quality file is called like its target, with one of these endings: {endings}.",
            exit=Exit.NOT_READY,
        )
    return list(pairing.pairs)


def filled(patterns: Sequence[str], scale: int, level: int | None) -> tuple[str, ...]:
    """Patterns with the scale and the quality put in; `{}` stays."""
    return tuple(one.replace("{s}", str(scale)).replace("{q}", "none" if level is None else str(level)) for one in patterns)


def named(paths: Sequence[Path], patterns: Sequence[str], scale: int, level: int | None) -> list[tuple[str, Path]]:
    """(image's name, file) of those files that fit one of the patterns; every file, by its own name, where there are none."""
    if not patterns:
        return [(path.stem, path) for path in paths]
    found = ((_cores(path.stem, filled(patterns, scale, level)), path) for path in paths)
    return [(min(cores, key=len), path) for cores, path in found if cores]


def _cores(stem: str, patterns: Sequence[str]) -> tuple[str, ...]:
    """What the image may be called: the stem less what a pattern adds, for each pattern that fits."""
    cores = []
    for pattern in patterns:
        before, _, after = pattern.partition("{}")
        if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after):
            cores.append(stem[len(before) : len(stem) - len(after)])
    return tuple(dict.fromkeys(cores))
