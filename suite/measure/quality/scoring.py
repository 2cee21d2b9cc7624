"""Scoring two folders of images, whoever made them: pairs by name, one protocol or all of them side by side.

Nothing about the images is guessed: the scale is given where a protocol needs it, and a target is cut only where its protocol crops
by the scale and the target is larger by less than the scale (at the bottom and on the right, as a high-quality image
is cropped to a multiple of its scale), which is said. PSNR and SSIM run on all cores; LPIPS and pyiqa's metrics run one image at
a time, with all of torch's threads, since their memory grows with the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from suite.core.errors import Exit, SuiteError, naming
from suite.core.output import note
from suite.core.parallel import map_ordered, show_progress
from suite.core.text import count_of
from suite.data.images import Pixels, check_readable, lacks_colour, match_channels, read_image, read_stored, three_channels
from suite.data.layouts.mixed import Both, both_sides
from suite.data.layouts.pairing import HOW, NamePair, Pairing, match_names, name_of
from suite.data.layouts.sides import has_images, list_side, say_missing, say_there, usual_ways
from suite.data.layouts.survey import survey
from suite.measure.quality import available
from suite.measure.quality.fidelity import score
from suite.study.protocols import METRICS, PROTOCOLS, Protocol, protocol

ALL_PROTOCOLS = "all"
MOST_LISTED = 20  # names in a message


@dataclass
class Sheet:
    """What one protocol says of every image, or what the metrics do that were asked for beside: {image: {metric: value}}, unrounded."""

    protocol: Protocol | None
    perceptual: tuple[str, ...]  # the metrics to measure beside PSNR and SSIM
    images: dict[str, dict[str, float]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)

    @property
    def mean(self) -> dict[str, float]:
        """The mean over the images of every metric that was measured."""
        names = dict.fromkeys(metric for values in self.images.values() for metric in values)
        return {metric: sum(values[metric] for values in self.images.values()) / len(self.images) for metric in names}


@dataclass
class Scores:
    """All that is known after scoring; the sheet of `against`, if there is one, is what others are compared with."""

    pairing: Pairing
    scale: int | None
    sheets: dict[str, Sheet]  # by the protocol's key
    refused: dict[str, str]  # protocols that do not apply: why
    besides: Sheet  # of metrics asked for beside the protocols'
    notes: list[str] = field(default_factory=list)
    against: str = ""

    def differences(self, key: str) -> dict[str, float]:
        """Return the mean of `key`'s PSNR and SSIM (whatever their channel) minus those of `against`."""
        ours, theirs = self.sheets[key], self.sheets.get(self.against)
        if theirs is None:
            return {}
        pairs = zip(("PSNR", "SSIM"), ours.protocol.fidelity, theirs.protocol.fidelity, strict=True)
        return {kind: ours.mean[metric] - theirs.mean[other] for kind, metric, other in pairs}


@dataclass(frozen=True)
class Request:
    """What is to be scored; `scale` None: not given."""

    outputs: Path
    targets: Path
    protocol: str = ALL_PROTOCOLS  # or a protocol's name
    scale: int | None = None
    against: str | None = None  # with `all`: the protocol that others are compared with
    besides: tuple[str, ...] = ()  # names in METRICS
    perceptual: bool = True
    allow_missing: bool = False
    limit: int | None = None


def score_folders(request: Request) -> Scores:
    """Score what `request` names.

    Raises SuiteError: for names that are not known, folders that are not there, files that have no partner, and images whose
    sizes do not fit or that the one chosen protocol cannot measure.
    """
    rules, refused = _rules(request)
    for name in request.besides:
        if not METRICS[name].package:
            raise SuiteError(f"{name} depends on channel and crop, so it belongs to a protocol: choose one by --protocol.")
    pairing = _paired(request)
    pairs = pairing.pairs[: request.limit] if request.limit is not None else pairing.pairs
    sheets = {rule.key: Sheet(rule, rule.perceptual) for rule in rules}
    scores = Scores(pairing, request.scale, sheets, refused, Sheet(None, request.besides))
    if lonely := _lonely(pairing):
        scores.notes.append(f"left out, as was allowed: {lonely}.")
    if request.limit is not None and request.limit < len(pairing.pairs):
        scores.notes.append(
            f"only the first {request.limit} of {count_of(len(pairing.pairs), 'pair')} are scored (--limit): for trying out."
        )
    scores.notes += _look_beside(request, scores)
    _measure_fidelity(scores, pairs, request)
    _measure_perceptual(scores, pairs, request)
    if request.protocol == ALL_PROTOCOLS:
        likely = ("sr-y@1", "derain-y@1", *scores.sheets)  # float Y, with the border left out where a scale was given
        wanted = protocol(request.against).key if request.against else next((key for key in likely if key in scores.sheets), "")
        if wanted not in scores.sheets:
            why = scores.refused.get(wanted, "it is not the latest version, or nothing was scored")
            raise SuiteError(f"--against {wanted}: that protocol does not apply here: {why}")
        scores.against = wanted
    return scores


def _rules(request: Request) -> tuple[list[Protocol], dict[str, str]]:
    """Return the protocols to measure by, and those of `all` that cannot be: why."""
    if request.scale is not None and request.scale < 1:
        raise SuiteError(f"--scale {request.scale}: a scale is 1 or more.")
    if request.limit is not None and request.limit < 1:
        raise SuiteError(f"--limit {request.limit}: at least 1 pair is scored.")
    if request.protocol != ALL_PROTOCOLS:
        if request.against is not None:
            raise SuiteError("--against names what `--protocol all` compares with; it says nothing where one protocol is chosen.")
        rule = protocol(request.protocol)
        why = _refusal(rule, request.scale)
        if why:
            raise SuiteError(f"protocol {rule.key} cannot be used: {why}")
        return [rule], {}
    latest = {row.name: protocol(row.name) for row in PROTOCOLS.values()}
    if request.against is not None:
        latest[protocol(request.against).name] = protocol(request.against)
    refused = {rule.key: why for rule in latest.values() if (why := _refusal(rule, request.scale))}
    return [rule for rule in latest.values() if rule.key not in refused], refused


def _refusal(rule: Protocol, scale: int | None) -> str:
    if rule.lowres == "float-y":
        return (
            "it says how the low-resolution image is made and compares a restored Y plane; of two RGB images, "
            "sr-y-rounded compares the same plane."
        )
    if rule.crop == "scale" and scale is None:
        return "it leaves out as many border pixels as the scale, which is not guessed: give --scale N (--scale 1 leaves out 1)."
    return ""


def _paired(request: Request) -> Pairing:
    for option, path in (("--pred", request.outputs), ("--gt", request.targets)):
        if not path.exists():
            raise SuiteError(f"{option} {path}: there is no such folder. Looked from {Path.cwd()}.", exit=Exit.NOT_READY)
    if request.outputs.is_file() and request.targets.is_file():
        one = NamePair(name_of(request.targets), request.targets, request.outputs)
        return Pairing((one,), rule="two files, as they were named")
    for option, path in (("--pred", request.outputs), ("--gt", request.targets)):
        if not path.is_dir():
            raise SuiteError(f"{option} {path} is a file: name two folders, or two files.")
    if not has_images(request.outputs):
        raise SuiteError(f"--pred: there are no images directly in {request.outputs}. {say_there(request.outputs)}", exit=Exit.NOT_READY)
    outputs, targets = list_side(request.outputs), list_side(_targets_folder(request.targets, request.scale))
    check_readable([*outputs, *targets])
    both = both_sides(outputs)
    if both is not None:
        raise SuiteError(f"--pred: {both.sentence}; which are the predictions? Name a folder that holds them alone.", exit=Exit.NOT_READY)
    both = both_sides(targets)
    if both is None:
        return pair_predictions(outputs, targets, allow_missing=request.allow_missing)
    found = _told_apart(both, request.scale)
    by_name = {name_of(lq): (name, hq) for name, hq, lq in found}
    if {name_of(path) for path in outputs} == by_name.keys():  # as `restore` names them
        pairs = sorted(NamePair(*by_name[name_of(path)], path) for path in outputs)
        return Pairing(tuple(pairs), rule="predictions called like the low-quality files")
    return pair_predictions(outputs, [hq for _, hq, _ in found], allow_missing=request.allow_missing)


def _look_beside(request: Request, scores: Scores) -> list[str]:
    """Say what lies beside the images and is left out; SuiteError where there is a link that leads nowhere."""
    if request.outputs.is_file():  # two files, as they were named
        return []
    found = survey([path for one in scores.pairing.pairs for path in (one.target, one.other)], (request.outputs, request.targets))
    found.check()
    return [f"{sentence}." for sentence in found.left_out]


def _targets_folder(folder: Path, scale: int | None) -> Path:
    """Return where the targets of `folder` lie: directly in it, or in the one folder of it that is called after their side."""
    if has_images(folder):
        return folder
    ways = usual_ways(folder)
    if wrong := next((way.problem for way in ways if way.problem and way.low is None), ""):
        raise SuiteError(f"--gt: {wrong}", exit=Exit.NOT_READY)
    ways = [way for way in ways if way.high is not None]
    found = {way.high.path for way in ways if scale is None or way.high.scale in (None, scale)}
    if len(found) != 1:
        several = f"{folder} has targets in {' and '.join(sorted({way.high.name for way in ways}))}: name the folder that is meant."
        raise SuiteError(f"--gt: {several if ways else say_missing(folder)}", exit=Exit.NOT_READY)
    (targets,) = found
    note(f"the targets are those of {targets}.")
    return targets


def pair_predictions(outputs: Sequence[Path], targets: Sequence[Path], *, allow_missing: bool = False) -> Pairing:
    """Pair restored images with targets by name (suite.data.layouts.pairing); names are unique within a side, as `list_side` makes sure.

    Raises SuiteError (Exit.NOT_READY) that lists what fits several files, what has no partner (unless `allow_missing`), and
    where nothing is paired at all.
    """
    found = match_names(*({name_of(path): path for path in side} for side in (targets, outputs)))
    if found.doubtful:
        raise SuiteError(
            f"files are paired by name, and some fit several: {_listed(found.doubtful, '; ')}. Keep one prediction and one target of each "
            "image.",
            exit=Exit.NOT_READY,
        )
    if not found.pairs or (_lonely(found) and not allow_missing):
        paired = f"{len(found.pairs)} are paired ({found.rule})" if found.pairs else "none is paired"
        allow = " --allow-missing scores those that are paired." if found.pairs else ""
        raise SuiteError(
            f"files are paired by name; {paired}, but there are {_lonely(found)}. A prediction is called like its target, {HOW}. "
            f"Rename, or take out, what does not belong.{allow}",
            exit=Exit.NOT_READY,
        )
    return found


def _lonely(pairing: Pairing) -> str:
    """Say what has no partner; empty where everything has one."""
    sides = (("without a target", pairing.lonely_others), ("without a prediction", pairing.lonely_targets))
    return "; ".join(
        f"{len(paths)} {what} in {paths[0].parent} ({_listed([path.name for path in paths])})" for what, paths in sides if paths
    )


def _listed(names: Sequence[str], joint: str = ", ") -> str:
    return joint.join(names[:MOST_LISTED]) + (f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else "")


def _told_apart(both: Both, scale: int | None) -> list[tuple[str, Path, Path]]:
    """Return names, targets and low-quality files of --gt, where people keep them together."""
    if scale not in both.scales and len(both.scales) > 1:
        there = " and ".join(f"x{one}" for one in both.scales)
        raise SuiteError(f"--gt: {both.sentence}, of {there}: say by --scale N which targets are meant.", exit=Exit.NOT_READY)
    return both.taken(scale if scale in both.scales else both.scales[0])


# PSNR and SSIM


@dataclass(frozen=True)
class _Found:
    """Of one pair: {protocol: values}, {protocol: why not}, whether its target was cut, and whether one of the two alone has colour."""

    values: dict[str, dict[str, float]]
    problems: dict[str, str]
    cut: str
    lost: str


def _measure_fidelity(scores: Scores, pairs: Sequence[NamePair], request: Request) -> None:
    """Fill the sheets. A protocol of `all` that one image does not fit is left out as a whole: its mean would be of other images."""
    rules = [sheet.protocol for sheet in scores.sheets.values()]
    found = map_ordered(partial(_one_pair, rules=rules, scale=request.scale), pairs)
    cut, lost = [], []
    for one, result in zip(pairs, show_progress(found, len(pairs), "images scored"), strict=True):
        if len(result.problems) == len(rules):  # no protocol fits: the images are to blame, not a protocol
            raise SuiteError(f"{one.other} and {one.target}: {next(iter(result.problems.values()))}", exit=Exit.NOT_READY)
        for key, why in result.problems.items():
            scores.refused.setdefault(key, f"{one.name}: {why}")
        for key, values in result.values.items():
            scores.sheets[key].images[one.name] = values
        cut += filter(None, [result.cut])
        lost += filter(None, [result.lost])
    scores.sheets = {key: sheet for key, sheet in scores.sheets.items() if key not in scores.refused}
    if not scores.sheets:
        reasons = "; ".join(f"{key}: {why}" for key, why in scores.refused.items())
        raise SuiteError(f"no protocol fits all the images. {reasons}", exit=Exit.NOT_READY)
    if lost:
        pairs = f"{count_of(len(lost), 'pair')} ({_listed(lost)})"
        scores.notes.append(f"of {pairs} one image is a grey file and the other has colours: its plane is repeated in three.")
    if cut:
        examples = ", ".join(cut[:3]) + (", ..." if len(cut) > 3 else "")
        scores.notes.append(f"targets larger than the output were cut at the bottom and on the right: {len(cut)} ({examples}).")


def _one_pair(one: NamePair, rules: Sequence[Protocol], scale: int | None) -> _Found:
    stored = read_stored(one.other), read_stored(one.target)
    (height, width), (rows, columns) = (image.shape[:2] for image in stored)
    cut = f"{one.name}: {columns}x{rows} to {width}x{height}" if (height, width) != (rows, columns) else ""
    found = _Found({}, {}, cut, one.name if lacks_colour(*stored) else "")
    known: dict[tuple[object, ...], dict[str, float]] = {}  # protocols that differ in other things share their PSNR and SSIM
    for rule in rules:
        # The fields left out have no part in PSNR and SSIM of two given images.
        plain = replace(rule, name="", version=0, changes=(), published="", perceptual=(), noise="", crop=rule.border(scale or 1))
        same = (plain, rule.crop == "scale")
        try:
            if same not in known:
                output, target = _channels(rule, one, *stored)
                known[same] = score(rule, output, _fitted(rule, output, target, scale), scale or 1)
            found.values[rule.key] = dict(known[same])
        except SuiteError as error:
            found.problems[rule.key] = str(error)
    return found


def _channels(rule: Protocol, one: NamePair, output: Pixels, target: Pixels) -> tuple[Pixels, Pixels]:
    """Give both images the channels that `rule` compares: the target's file decides; SuiteError where the output has no such plane."""
    if rule.grey == "repeat":
        return three_channels(output), three_channels(target)
    fitted = match_channels(output, target)
    if fitted is None:
        raise SuiteError(
            f"{one.target} is a grey file, whose plane {rule.key} compares as it is, and {one.other} a colour image: nothing says "
            "which of its planes that is. Store the prediction as a grey file, or choose a protocol that repeats them (`list protocols`).",
            exit=Exit.NOT_READY,
        )
    return fitted, target


def _fitted(rule: Protocol, output: Pixels, target: Pixels, scale: int | None) -> Pixels:
    """Return `target`, cut to `output`'s size where the protocol crops by the scale and less than a scale is cut; SuiteError otherwise."""
    if output.shape == target.shape:
        return target
    spare = [theirs - ours for ours, theirs in zip(output.shape[:2], target.shape[:2], strict=True)]
    if rule.crop == "scale" and scale is not None and all(0 <= pixels < scale for pixels in spare):
        return target[: output.shape[0], : output.shape[1]]
    sizes = f"the prediction is {output.shape[1]}x{output.shape[0]} pixels (width x height), its target {target.shape[1]}x{target.shape[0]}"
    raise SuiteError(f"{sizes}: {_mismatch(rule, output, target, spare)}", exit=Exit.NOT_READY)


def _mismatch(rule: Protocol, output: Pixels, target: Pixels, spare: Sequence[int]) -> str:
    times = target.shape[0] // output.shape[0]
    if output.shape[:2] == target.shape[1::-1]:
        return "one of them is turned by 90 degrees."
    if times > 1 and all(abs(theirs - times * ours) < times for ours, theirs in zip(output.shape[:2], target.shape[:2], strict=True)):
        return f"it is {times} times as small. Is it the low-resolution input?"
    if min(spare) < 0:
        return "a prediction is never cut. Crop it to its target, or take the target that it was made for."
    if rule.crop == "scale":
        return "a target may be larger by less than the scale, which is then cut at the bottom and on the right. Is --scale right?"
    return f"{rule.key} compares images of one size. Crop the target as the prediction was."


# LPIPS and pyiqa's metrics


def _measure_perceptual(scores: Scores, pairs: Sequence[NamePair], request: Request) -> None:
    """Add the perceptual metrics of the protocols, and those asked for besides; each is computed once an image."""
    if not request.perceptual:
        for sheet in scores.sheets.values():
            sheet.unavailable = dict.fromkeys(sheet.perceptual, "not measured, as --no-perceptual says.")
            sheet.perceptual = ()
    sheets = (*scores.sheets.values(), scores.besides)
    wanted = dict.fromkeys(metric for sheet in sheets for metric in sheet.perceptual)
    absent = available.list_absent(wanted)
    for sheet in sheets:
        sheet.unavailable |= {metric: absent[metric] for metric in sheet.perceptual if metric in absent}
    names = [metric for metric in wanted if metric not in absent]
    if not names:
        return
    for name, values in show_progress(_values(pairs, names), len(pairs), f"images measured by {', '.join(names)}"):
        for sheet in sheets:
            sheet.images.setdefault(name, {}).update({metric: values[metric] for metric in sheet.perceptual if metric in values})


def _values(pairs: Sequence[NamePair], names: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    for one in pairs:
        output, target = read_image(one.other), read_image(one.target)
        target = target[: output.shape[0], : output.shape[1]]  # where it is larger, a protocol that crops by the scale has accepted it
        with naming(f"{one.other} and {one.target}"):
            yield one.name, {metric: available.measure_metric(metric, output, target) for metric in names}
