"""Faults for the gate to catch: each changes one thing as a careless edit would, and names the number that must move."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Mutation:
    """A fault; `probe` is the group that sees it, `moves` a part of the key of a number that must drift, `fault` applies it."""

    name: str
    probe: str
    moves: str
    fault: Callable[[pytest.MonkeyPatch], None]


def scan_order(patch):
    from models.scan import directions, image

    def swapped(picture, count):
        found = directions_unfold(picture, count)
        return found[:, [1, 0, 2, 3]] if count == 4 else found

    directions_unfold = directions.unfold
    for module in (directions, image):
        if hasattr(module, "unfold"):
            patch.setattr(module, "unfold", swapped)


def norm_epsilon(patch):
    before = torch.nn.LayerNorm.__init__

    def other(self, shape, eps=1e-6, **rest):
        before(self, shape, eps=eps, **rest)

    patch.setattr(torch.nn.LayerNorm, "__init__", other)


def rounded_y(patch):
    from suite.metrics import fidelity

    before = fidelity.luma
    patch.setattr(fidelity, "luma", lambda rgb: np.rint(before(rgb)))


def crop(patch):
    from suite.protocols import Protocol

    before = Protocol.border
    patch.setattr(Protocol, "border", lambda self, scale: before(self, scale) + 1)


def low_resolution_border(patch):
    from suite.data import degradations, resize

    def clamped(picture, factor):
        scale = round(1 / factor)
        padded = np.pad(picture, ((4 * scale,) * 2, (4 * scale,) * 2, (0, 0)), mode="edge")  # repeated where MATLAB mirrors
        return resize.imresize(padded, factor)[4:-4, 4:-4]

    patch.setattr(degradations, "imresize", clamped)


def seed_forgotten(patch):
    from suite.data import degradations

    before = degradations.image_rng
    patch.setattr(degradations, "image_rng", lambda seed, *names: before(seed, *names[:-1]))


def sampler_seed(patch):
    from suite.data import sampler

    before = sampler.image_rng
    patch.setattr(sampler, "image_rng", lambda seed, *names: before(seed, *(name for name in names if not isinstance(name, int))))


def average_off(patch):
    from suite.train import Training

    patch.setattr(Training, "evaluated", property(lambda self: self.network))


def last_chunk(patch):
    from models.scan import numba

    before = numba.forward

    def wrong(args, delta_softplus, keep):
        y, kept = before(args, delta_softplus, keep)
        y[..., -3:] *= 1.01
        return y, kept

    patch.setattr(numba, "forward", wrong)


def averaged_errors(patch):
    from suite.record import Record

    def over_the_set(self, metric):
        values = np.array([score.metrics[metric] for score in self.scores])
        return float(-10 * np.log10(np.mean(10 ** (-values / 10)))) if metric.startswith("PSNR") else float(values.mean())

    patch.setattr(Record, "mean", over_the_set)


def cost_without_skip(patch):
    from models.scan import op

    before = op.scan_macs

    def without(*sizes, skip):
        del skip
        return before(*sizes, skip=False)

    patch.setattr(op, "scan_macs", without)


def ssim_window(patch):
    from suite.metrics import fidelity

    patch.setattr(fidelity, "SIGMA", 1.6)


def noise_order(patch):
    from suite.data import noise

    before = noise.published_noise
    patch.setattr(noise, "published_noise", lambda hq, sigma, order, seed=0: before(hq, sigma, {"bgr": "rgb", "rgb": "bgr"}[order], seed))


def noise_level(patch):
    from suite.data import noise

    before = noise.published_noise
    patch.setattr(noise, "published_noise", lambda hq, sigma, order, seed=0: before(hq, sigma * 255 / 256, order, seed))


def jpeg_quality(patch):
    from suite.data import jpeg

    before = jpeg.compress
    patch.setattr(jpeg, "compress", lambda grey, quality: before(grey, quality + 1))


def truncated_output(patch):
    from suite.metrics import fidelity

    before = fidelity.quantise

    def truncated(image):
        return before(image) if image.dtype == np.uint8 else (image.clip(0, 1) * 255).astype(np.uint8)

    patch.setattr(fidelity, "quantise", truncated)


def charbonnier_epsilon(patch):
    from suite import losses

    patch.setattr(losses, "CHARBONNIER_EPSILON", 1e-2)


def second_moment(patch):
    from suite import train

    before = train._optimiser
    patch.setattr(train, "_optimiser", lambda spec, parameters, lr: before(spec.model_copy(update={"betas": (0.5, 0.9)}), parameters, lr))


def clipping_off(patch):
    patch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_, **__: None)


def schedule_off(patch):
    from suite import train

    patch.setattr(train, "rate", lambda spec, _iteration: spec.lr)


def mixing_off(patch):
    from suite import batches

    patch.setattr(batches, "mixed", lambda _spec, sampler, iteration, _batch, places: sampler.take(iteration, places))


def depth_off(patch):
    from models.layers import StochasticDepth

    patch.setattr(StochasticDepth, "forward", lambda _self, x: x)


def official_names(patch):
    from models import official

    rules = tuple((ours, theirs.replace("norm1", "norm2")) for ours, theirs in official._OSS_RULES)
    patch.setattr(official, "_OSS_RULES", rules)


def ensemble_inverse(patch):
    from suite import ensemble

    before = ensemble.turned_back
    patch.setattr(ensemble, "turned_back", lambda image, symmetry: before(image, {4: 6, 6: 4}.get(symmetry, symmetry)))


def tile_overlap(patch):
    from suite import tiling

    patch.setattr(tiling, "OVERLAP", 1 / 16)


def mean_kept(patch):
    from models import mambair

    patch.setattr(mambair, "DIV2K_MEAN", (0.45, 0.44, 0.40))


def rotation_off(patch):
    from suite.data.sampler import PatchSampler

    patch.setattr(PatchSampler, "_symmetry", lambda _self, rng: (bool(rng.random(3)[0] < 0.5), False, False))


def activation(patch):
    patch.setattr(F, "gelu", partial(F.gelu, approximate="tanh"))


def skip_left_out(patch):
    from models.scan import reference

    before = reference.forward

    def without(args, *rest, **named):
        return before(args._replace(D=None if args.D is None else torch.zeros_like(args.D)), *rest, **named)

    patch.setattr(reference, "forward", without)


MUTATIONS = (
    Mutation("scan direction order swapped", "outputs", "reference/plain", scan_order),
    Mutation("LayerNorm's eps changed", "outputs", "faint", norm_epsilon),
    Mutation("LayerNorm's eps changed, seen in the layers", "networks", "layers", norm_epsilon),
    Mutation("Y conversion rounded", "protocols", "sr-y/PSNR-Y", rounded_y),
    Mutation("crop off by one", "protocols", "sr-y/PSNR-Y", crop),
    Mutation("LR made with the wrong border", "data", "data/sr-x4/", low_resolution_border),
    Mutation("a seed not passed on to the images", "data", "data/derain/", seed_forgotten),
    Mutation("a seed not passed on to the sampler", "data", "batch 1", sampler_seed),
    Mutation("EMA off", "training", "real-sr-x4/vmambair", average_off),
    Mutation("a kernel wrong in the last chunk only", "scans", "scans/numba", last_chunk),
    Mutation("PSNR averaged over the data set instead of over images", "protocols", "PSNR-Y/mean", averaged_errors),
    Mutation("cost formula without the skip term", "networks", "macs/selective_scan", cost_without_skip),
    Mutation("SSIM's window too wide", "protocols", "SSIM-Y", ssim_window),
    Mutation("noise in the other order of channels", "data", "data/denoise-15/", noise_order),
    Mutation("noise of sigma over 256", "data", "data/denoise-25/", noise_level),
    Mutation("JPEG quality off by one", "data", "data/jpeg-40/", jpeg_quality),
    Mutation("outputs truncated instead of rounded", "protocols", "PSNR-RGB", truncated_output),
    Mutation("Charbonnier's epsilon ten times as large", "training", "denoise-15", charbonnier_epsilon),
    Mutation("Adam's betas not the recipe's", "training", "loss", second_moment),
    Mutation("gradient clipping off", "training", "loss", clipping_off),
    Mutation("learning rate never falls", "training", "real-sr-x4/vmambair", schedule_off),
    Mutation("images not mixed", "training", "real-denoise", mixing_off),
    Mutation("stochastic depth off", "outputs", "mambair-sr-x2-tiny/reference/stochastic depth", depth_off),
    Mutation("authors' names of parameters mixed up", "networks", "official names", official_names),
    Mutation("self-ensemble turned back the wrong way", "inference", "self-ensemble", ensemble_inverse),
    Mutation("tiles overlap by half", "inference", "feathered", tile_overlap),
    Mutation("another mean subtracted", "outputs", "mambair-sr-x2-tiny/reference", mean_kept),
    Mutation("training patches not turned", "data", "sr-x2/batch", rotation_off),
    Mutation("GELU approximated", "outputs", "vmambair-realsr-x4-tiny/reference", activation),
    Mutation("the scan's skip left out", "outputs", "reference/plain", skip_left_out),
)
