"""Work on pictures: degradation and patches of every task, protocols, tiles, ensembles, and the simplest baselines' scores."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial

import lpips
import numpy as np
import torch

import models
from suite.data.colour import quantise
from suite.data.degrade.degradations import degradation
from suite.data.feed.loader import Loader, Patches
from suite.data.feed.sampler import PatchSampler
from suite.data.feed.training_set import checksum, load_training, pair_images
from suite.data.resize import imresize
from suite.data.sets import load_pairs
from suite.health.probes.networks import draw_network
from suite.health.probes.number import DATA, TRAINED_ON, Number, ProbePart, along_a_direction, digest
from suite.measure.inference.ensemble import average_symmetries
from suite.measure.inference.restorer import restorer_of
from suite.measure.inference.tiling import TILINGS, restore_in_tiles
from suite.measure.quality import fidelity, perceptual
from suite.measure.quality.evaluate import make_baseline, prepare_output
from suite.records.record import ImageScore, Record
from suite.records.spec import RunSpec
from suite.study import protocols, tasks

RAW_SIDE = 48  # pixels of a training patch


def data_parts() -> tuple[ProbePart, ...]:
    """Return a part for each task, and two for what all share."""
    slow = ("real-sr-x4", "derain", "real-denoise")
    return (
        *(ProbePart(name, partial(_task_data, name), 3 if name in slow else 0.5) for name in tasks.TASKS),
        ProbePart("resizing", _resized, 0.5),
        ProbePart("on the device", _on_device, 2),
    )


def _task_data(name: str) -> Iterator[Number]:
    """Digest the low-quality test and validation images, and the first training batches, whole and as a second worker has them."""
    task = tasks.TASKS[name]
    row, rule = degradation(task.degradation), protocols.PROTOCOLS[task.protocol]
    version = f"{row.name} v{row.version}"
    for pair in load_pairs(DATA, "test", task, rule)[:2]:
        yield Number(f"data/{name}/{pair.name}", "digest", digest(pair.lq, pair.hq), version)
    yield Number(f"data/{name}/validation", "digest", checksum(pair_images(load_pairs(DATA, "validation", task, rule)))[:16], version)
    images = load_training(DATA, task).images
    yield Number(f"data/{name}/training", "digest", checksum(images)[:16], version)
    sampler = PatchSampler(images, row, RAW_SIDE, 0, rotate=task.recipe.rotate)
    for iteration in range(2):
        yield Number(f"data/{name}/batch {iteration}", "digest", digest(*sampler.batch(iteration, 2)), version)
    other = PatchSampler(images, row, RAW_SIDE, 1, rotate=task.recipe.rotate)
    yield Number(f"data/{name}/batch 0 of seed 1", "digest", digest(*other.batch(0, 2)), version)
    loaded = [digest(low.numpy(), high.numpy()) for _, low, high, _ in Loader(Patches(sampler, (1, 3)), 1, 3)]
    yield Number(f"data/{name}/places 1 and 3 as loaded", "digest", " ".join(loaded), version)


def _resized() -> Iterator[Number]:
    """Resize by MATLAB's bicubic kernel, down and up, in 8 bits and in floating point, on sides that no factor divides."""
    picture = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    for factor in (1 / 2, 1 / 3, 1 / 4, 2, 3, 4):
        yield Number(f"data/resizing/x{factor:.3g} in 8 bits", "digest", digest(imresize(picture, factor)))
        smooth = imresize(picture / 255, factor, between="float")
        yield Number(f"data/resizing/x{factor:.3g} in floating point", "known", along_a_direction(smooth))


def _on_device() -> Iterator[Number]:
    """Carry out the blind degradation as a GPU would, on torch's CPU device: only rounding may differ."""
    task = tasks.TASKS["real-sr-x4"]
    row = degradation(task.degradation)
    sampler = PatchSampler(load_training(DATA, task).images, row, RAW_SIDE, 0, rotate=task.recipe.rotate)
    low, high = sampler.deferred(0, range(2)).carried_out("cpu")
    version = f"{row.name} v{row.version}"
    yield Number("data/real-sr-x4/low quality on the device", "quality", along_a_direction(low.numpy()), version)
    yield Number("data/real-sr-x4/targets on the device", "known", along_a_direction(high.numpy()), version)


def protocol_parts() -> tuple[ProbePart, ...]:
    """Return the parts: protocols on made-up pairs, baselines on photographs, and LPIPS."""
    return ProbePart("made-up pairs", _protocols, 2), ProbePart("baselines", _baselines, 4), ProbePart("LPIPS", _lpips, 3)


def _protocols() -> Iterator[Number]:
    """Score made-up colour and grey pairs by every protocol, and average over images."""
    for key, rule in protocols.PROTOCOLS.items():
        for kind, channels in (("colour", 3), ("grey", 1)):
            means: dict[str, list[float]] = {}
            for number, (output, target) in enumerate(_pairs(channels)):
                for metric, value in fidelity.score(rule, output, target, 4).items():
                    means.setdefault(metric, []).append(value)
                    yield Number(f"protocols/{key}/{kind}/{metric}/{number}", "known", value, key)
            for metric, values in means.items():
                yield Number(f"protocols/{key}/{kind}/{metric}/mean", "known", _mean(metric, values), key)


def _pairs(channels: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Make outputs in floating point around 0..1, one of them nearly right, and their targets."""
    for number, error in enumerate((0.004, 0.12)):
        random = np.random.default_rng((channels, number))
        smooth = np.kron(random.random((7, 8, channels)), np.ones((8, 8, 1)))
        noise = random.standard_normal(smooth.shape)
        yield (smooth + error * noise).astype(np.float32), np.rint(255 * smooth).astype(np.uint8)


def _mean(metric: str, values: Sequence[float]) -> float:
    """Average as a record does: over images."""
    spec = RunSpec(model="none", task="none", budget="none", backend="none", iterations=0, batch=1, patch=16, lr=1.0, protocol="none@1")
    scores = tuple(ImageScore(image=str(number), metrics={metric: value}) for number, value in enumerate(values))
    return Record(fingerprint=spec.fingerprint, spec=spec, status="done", scores=scores).mean(metric)


def _baselines() -> Iterator[Number]:
    """Score each task's test photographs as `evaluate bicubic` or `evaluate identity` does: read, degrade, restore and score."""
    for task in tasks.TASKS.values():
        rule, row = protocols.PROTOCOLS[task.protocol], degradation(task.degradation)
        restore = make_baseline("bicubic" if task.scale > 1 else "identity", task.scale)
        for pair in load_pairs(DATA, "test", task, rule):
            for metric, value in fidelity.score(rule, prepare_output(restore(pair.lq), rule), pair.hq, task.scale).items():
                version = f"{rule.key}, {row.name} v{row.version}"
                yield Number(f"protocols/baselines/{task.name}/{metric}/{pair.name}", "known", value, version)


def _lpips() -> Iterator[Number]:
    """Go LPIPS's own way from pixels to a number, over features drawn at random: learnt ones are not at hand everywhere."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips calls torchvision in a way that is deprecated
        torch.manual_seed(0)
        network = lpips.LPIPS(net="alex", pretrained=True, pnet_rand=True, verbose=False).eval()
    for number, (output, target) in enumerate(_pairs(3)):
        value = perceptual.distance_by(network, perceptual.BACKBONES["LPIPS-alex"], output.clip(0, 1), target)
        yield Number(f"protocols/LPIPS over random features, in 1e-4/{number}", "output", 1e4 * value)


def inference_parts() -> tuple[ProbePart, ...]:
    """Return the parts: tiles and ensembles of a made-up restorer, and networks on pictures of odd sizes."""
    return ProbePart("tiles and ensembles", _inference, 1), ProbePart("restorers", _restorers, 2)


def _inference() -> Iterator[Number]:
    """Restore in tiles and by self-ensemble, with a restorer that treats no two directions alike."""
    picture = np.random.default_rng(0).random((75, 110, 3)).astype(np.float32)

    def restore(image: np.ndarray) -> np.ndarray:
        shifted = 0.7 * image + 0.2 * np.roll(image, 1, axis=0) + 0.1 * np.roll(image, 2, axis=1)
        return np.repeat(np.repeat(shifted, 2, axis=0), 2, axis=1).astype(np.float32)

    for kind in TILINGS:
        yield Number(f"inference/{kind}", "known", along_a_direction(restore_in_tiles(restore, kind, 40)(picture)))
    yield Number("inference/self-ensemble", "known", along_a_direction(average_symmetries(restore)(picture)))


def _restorers() -> Iterator[Number]:
    """Restore a picture smaller than the network takes, a grey one, and one in tiles; and quantise to 8 bits."""
    network = draw_network("vmambair-derain-tiny")
    models.set_scan_backend(network, TRAINED_ON)
    restore = restorer_of(network.train())  # which puts it into evaluation mode
    random = np.random.default_rng(0)
    for label, picture in (
        ("small", random.random((5, 3, 3)).astype(np.float32)),
        ("grey", random.random((16, 21, 1)).astype(np.float32)),
        ("8 bits", random.integers(0, 256, (16, 21, 3), dtype=np.uint8)),
    ):
        yield Number(f"inference/network/{label}", "output", along_a_direction(restore(picture)))
    picture = random.random((40, 56, 3)).astype(np.float32)
    yield Number("inference/network/tiles", "output", along_a_direction(restore_in_tiles(restore, "feathered", 32)(picture)))
    yield Number("inference/quantised", "digest", digest(quantise(random.random((9, 9, 3)) * 1.5 - 0.25)))
