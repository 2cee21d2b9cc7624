"""The comparison of pictures: which details of which images stand on the page, by which networks, and how each image ranks.

A set holds the records of one task under one set of conditions: its methods are the input, every network and the target, and
every number beside a picture is of the record that made the picture. Given weights are in sets of their own, by task and images.
A picture is held once, by its digest, wherever it is shown. The page has to stay a file that opens at once, so the pictures on
it are bounded: an image stands there with all its methods or not at all, the hardest images of each set first, and what was left
out is named with the command that shows it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suite.records.kinds.evaluation import Evaluation
from suite.records.pictures import Png, UnreadablePicture
from suite.records.record import Crop, Measured, Record
from suite.report.commands import restore_command
from suite.report.settings import Setting, dataset_name, describe, group_by_setting
from suite.report.tables.given import tell_origin
from suite.report.tables.model import Table
from suite.report.trivial import TRIVIAL, add_trivial
from suite.study.protocols import METRICS, Metric

MIB = 2**20
PICTURES_MIB = 8.0  # of base64 text; with all else, a page of 1,000 records stays below 15 MB
WORST = 5  # images in a ranking
PICTURES_COMMAND = "python -m suite report --pictures"
INPUT, TARGET = "input", "target"
UNREADABLE = "the record holds no readable picture"


@dataclass(frozen=True)
class PagePicture:
    """A PNG that the page holds once; `id` is its element's."""

    id: str
    png: str  # base64
    width: int  # pixels
    height: int


@dataclass(frozen=True)
class Method:
    """What made a picture: the input, a network (`key` is its model's name), or the target."""

    key: str
    label: str
    what: str


@dataclass(frozen=True)
class Tile:
    """One method's picture of an image, and its metrics on the whole image in the set's order (None: not measured)."""

    picture: PagePicture | None
    values: tuple[float | None, ...]
    note: str = ""
    first: bool = False  # the picture itself stands here, not a link to where it does


@dataclass(frozen=True)
class Image:
    """An image of a test set by every method, in the set's order of methods."""

    name: str
    tiles: tuple[Tile, ...]
    embedded: bool = False

    @property
    def pictured(self) -> bool:
        """Tell whether a record holds a picture of it, on the page or not."""
        return any(tile.picture for tile in self.tiles)


@dataclass(frozen=True)
class ImageSet:
    """The images of one task under one set of conditions."""

    key: str
    title: str
    detail: str
    metrics: tuple[Metric, ...]
    methods: tuple[Method, ...]
    images: tuple[Image, ...]
    commands: tuple[str, ...] = ()  # that restore a picture of one's own with the given weights

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the images whose pictures the records hold and the page does not."""
        return tuple(image.name for image in self.images if image.pictured and not image.embedded)


@dataclass(frozen=True)
class PictureComparison:
    """All that the section shows."""

    sets: tuple[ImageSet, ...]
    limit_mib: float
    needed_mib: float  # of base64 text, for every picture of the records

    @property
    def left_out(self) -> int:
        """Return how many images are not on the page, of all sets."""
        return sum(len(found.left_out) for found in self.sets)

    @property
    def command(self) -> str:
        """Return what writes the page with every picture."""
        return f"{PICTURES_COMMAND} {math.ceil(self.needed_mib)}"

    @property
    def data(self) -> str:
        """The sets as JSON, for the page's script: pictures by their ids."""
        return json.dumps({"worst": WORST, "sets": [_set_data(found) for found in self.sets]}, separators=(",", ":"))


def compare_pictures(records: Iterable[Measured], tables: Iterable[Table], *, limit_mib: float = PICTURES_MIB) -> PictureComparison | None:
    """Compare the pictures of `records` (one for each cell), networks named and ordered as in `tables`; None where there is none."""
    labels: dict[str, str] = {}
    for table in sorted(tables, key=lambda table: table.published.baseline is None):  # ablations tell a model's variants apart
        for row in table.rows:
            if row.model:
                labels.setdefault(row.model, row.label)
    done = [record for record in records if record.status == "done" and record.scores]
    groups = group_by_setting(add_trivial(record for record in done if isinstance(record, Record)))
    ordered = sorted(groups, key=lambda setting: (setting.task, setting.iterations, setting.text))
    sets = [_set(setting, groups[setting], labels, ordered) for setting in ordered]
    sets += _given_sets([record for record in done if isinstance(record, Evaluation) and record.crops], labels)
    sets = [found for found in sets if any(image.pictured for image in found.images)]
    if not sets:
        return None
    tiles = (tile for found in sets for image in found.images for tile in image.tiles)
    needed = sum({tile.picture.id: len(tile.picture.png) for tile in tiles if tile.picture}.values())
    return PictureComparison(tuple(_placed(_bounded(sets, limit_mib * MIB))), limit_mib, needed / MIB)


def _set(setting: Setting, records: Sequence[Record], labels: Mapping[str, str], among: Sequence[Setting]) -> ImageSet:
    """Return the set of one setting: of each network, the record of its lowest seed."""
    chosen: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: record.spec.seed):
        chosen.setdefault(record.spec.model, record)
    trivial = [model for model in TRIVIAL if model in chosen]
    known = [model for model in labels if model in chosen and model not in trivial]
    models = trivial + known + sorted(set(chosen) - {*known, *trivial})
    methods = [_method(model, chosen[model].spec.seed, models, labels) for model in models]
    return _make_set(setting.text, describe(setting.outline(among)), methods, [chosen[model] for model in models])


def _make_set(text: str, told: tuple[str, str], methods: Sequence[Method], records: Sequence[Record | Evaluation]) -> ImageSet:
    """Return the set of `records`, each by its method; it is identified by `text` and called what is `told`, title and detail."""
    names = dict.fromkeys(name for record in records for score in record.scores for name in score.metrics)
    metrics = tuple(METRICS.get(name, Metric(name, "higher", "", 4)) for name in names)
    among = (Method(INPUT, "input", "nearest neighbour"), *methods, Method(TARGET, "target", ""))
    return ImageSet(hashlib.sha256(text.encode()).hexdigest()[:8], *told, metrics, among, tuple(_images(records, metrics)))


def _given_sets(records: Iterable[Evaluation], labels: Mapping[str, str]) -> Iterator[ImageSet]:
    """Yield the sets of given weights and of baselines, by task, images and protocol; of equal ways one record, of the lowest seed."""
    groups: dict[tuple[str, ...], dict[tuple[object, ...], Evaluation]] = {}
    for record in sorted(records, key=lambda record: (record.spec.seed, record.fingerprint)):
        spec = record.spec
        way = (spec.model, spec.weights, spec.key, spec.routing, spec.tile, spec.tile_size, spec.ensemble)
        groups.setdefault((spec.task, spec.test_set, spec.data_digest, spec.protocol), {}).setdefault(way, record)
    order = {model: place for place, model in enumerate([*TRIVIAL, *labels])}
    for (task, test_set, digest, protocol), held in sorted(groups.items()):
        ways = sorted(held.values(), key=lambda one: (order.get(one.spec.model, len(order)), one.fingerprint))
        networks = [one for one in ways if one.weights]
        if networks:  # a baseline alone restores nothing that any page would be opened for
            told = f"{task}, given weights", f"test set {dataset_name(test_set)}; {protocol}"
            made = _make_set(" ".join((task, test_set, digest, protocol)), told, [_given_method(one, labels) for one in ways], ways)
            yield replace(made, commands=tuple(dict.fromkeys(map(restore_command, networks))))


def _given_method(record: Evaluation, labels: Mapping[str, str]) -> Method:
    """Name the network as the paper does, and say whose weights these are and how they were run."""
    spec = record.spec
    if record.weights is None:
        return Method(spec.model, spec.model, "needs no training")
    how = [f"routing {spec.routing}"] if spec.routing else []
    how += dict.fromkeys(record.inference) if spec.tile != "whole" else []
    how += ["self-ensemble of 8"] if spec.ensemble else []
    what = "; ".join([spec.model, f"weights: {tell_origin(record)}", *how])
    return Method(f"{spec.model}-{record.fingerprint[:6]}", labels.get(spec.model, spec.model), what)


def _method(model: str, seed: int, models: Sequence[str], labels: Mapping[str, str]) -> Method:
    """Name the network as the paper does, where no other of the set has the same name."""
    if model in TRIVIAL:
        return Method(model, model, "needs no training")
    label = labels.get(model, model)
    alone = sum(labels.get(other, other) == label for other in models) == 1
    name = label if alone else model
    return Method(model, name, f"{model}, seed {seed}" if name != model else f"seed {seed}")


def _images(records: Sequence[Record | Evaluation], metrics: Sequence[Metric]) -> Iterator[Image]:
    """Yield every image that a record scored; one whose input or target differs between records stands once for each pair of them."""
    scores = [{score.image: score.metrics for score in record.scores} for record in records]
    for name in dict.fromkeys(name for held in scores for name in held):
        crops = [next((crop for crop in record.crops if crop.image == name), None) for record in records]
        ends = list(dict.fromkeys((crop.input_png, crop.target_png) for crop in crops if crop)) or [(None, None)]
        for number, (source, target) in enumerate(ends, 1):
            tiles = [_tile(source, (None,) * len(metrics))]
            for crop, held in zip(crops, scores, strict=True):
                mine = crop is not None and (crop.input_png, crop.target_png) == (source, target)
                values = tuple(held.get(name, {}).get(metric.name) for metric in metrics)
                tiles.append(_method_tile(crop, mine, values))
            tiles.append(_tile(target, (None,) * len(metrics)))
            yield Image(name if number == 1 else f"{name} (other data, {number})", tuple(tiles))


def _method_tile(crop: Crop | None, mine: bool, values: tuple[float | None, ...]) -> Tile:
    if mine and crop is not None:
        return _tile(crop.output_png, values)
    if crop is None:
        return Tile(None, values, "the record holds no detail of this image")
    return Tile(None, (None,) * len(values), "measured on another input or target of this name")


def _tile(png: Png | None, values: tuple[float | None, ...]) -> Tile:
    """Make the tile of a picture; where it cannot be read, its note says why."""
    if png is None:
        return Tile(None, values, UNREADABLE)
    try:
        data = png.read()
    except UnreadablePicture as error:
        return Tile(None, values, UNREADABLE if png.data is not None else error.note)
    width, height = struct.unpack(">II", data[16:24])
    return Tile(PagePicture(f"picture-{png.sha256[:16]}", base64.b64encode(data).decode(), width, height), values)


def _hardest_first(found: ImageSet) -> list[Image]:
    """Sort the pictured images, worst mean over the methods of the set's first metric first; images without it last."""
    sign = 1 if found.metrics and found.metrics[0].better == "higher" else -1

    def place(image: Image) -> tuple[bool, float]:
        values = [tile.values[0] for tile in image.tiles if found.metrics and tile.values[0] is not None]
        return (not values, sign * sum(values) / len(values) if values else 0.0)

    return sorted((image for image in found.images if image.pictured), key=place)


def _bounded(sets: Sequence[ImageSet], limit: float) -> Iterator[ImageSet]:
    """Mark the images that fit into `limit` bytes of base64: in turn one of each set, until none fits."""
    queues = {found.key: _hardest_first(found) for found in sets}
    held: set[str] = set()
    used = 0
    chosen: set[tuple[str, str]] = set()
    while any(queues.values()):
        for key, queue in queues.items():
            if queue:
                image = queue.pop(0)
                new = {tile.picture.id: len(tile.picture.png) for tile in image.tiles if tile.picture and tile.picture.id not in held}
                if used + sum(new.values()) <= limit:
                    used += sum(new.values())
                    held.update(new)
                    chosen.add((key, image.name))
    for found in sets:
        yield replace(found, images=tuple(replace(image, embedded=(found.key, image.name) in chosen) for image in found.images))


def _placed(sets: Iterable[ImageSet]) -> Iterator[ImageSet]:
    """Mark the first place of every picture, in the page's order."""
    seen: set[str] = set()
    for found in sets:
        images = []
        for image in found.images:
            tiles = []
            for tile in image.tiles:
                first = image.embedded and tile.picture is not None and tile.picture.id not in seen
                if first and tile.picture:
                    seen.add(tile.picture.id)
                tiles.append(replace(tile, first=first))
            images.append(replace(image, tiles=tuple(tiles)))
        yield replace(found, images=tuple(images))


def _find_telling(found: ImageSet) -> str:
    """Return the image on the page over which the methods are furthest apart by the set's first metric: the one to begin with."""

    def spread(image: Image) -> float:
        values = [tile.values[0] for tile in image.tiles if tile.values and tile.values[0] is not None]
        return max(values) - min(values) if values else 0.0

    return max((image for image in found.images if image.embedded), key=spread, default=Image("", ())).name


def _set_data(found: ImageSet) -> dict[str, object]:
    return {
        "key": found.key,
        "title": found.title,
        "detail": found.detail,
        "metrics": [{"name": one.name, "unit": one.unit, "digits": one.digits, "higher": one.better == "higher"} for one in found.metrics],
        "methods": [{"key": one.key, "label": one.label, "what": one.what} for one in found.methods],
        "start": _find_telling(found),
        "images": [
            {
                "name": image.name,
                "pictured": image.pictured,
                "embedded": image.embedded,
                "pictures": [tile.picture.id if tile.picture and image.embedded else "" for tile in image.tiles],
                "notes": [tile.note for tile in image.tiles],
                "values": [tile.values for tile in image.tiles],
            }
            for image in found.images
        ],
    }
