"""Faults of networks, scans and costs, each with the number of the gate that must move."""

from functools import partial

import torch
import torch.nn.functional as F
from faults import Mutation, constant, edit

LIGHT, CLASSIC, U_NET = "mambair-light-x2-tiny", "mambair-sr-x2-tiny", "vmambair-realsr-x4-tiny"


def scan_order(patch):
    from models.scan import directions, image

    def swapped(picture, count):
        found = directions_unfold(picture, count)
        return found[:, [1, 0, 2, 3]] if count == 4 else found

    directions_unfold = directions.unfold
    patch.setattr(image, "unfold", swapped)


def norm_epsilon(patch):
    before = torch.nn.LayerNorm.__init__

    def other(self, shape, eps=1e-6, **rest):
        before(self, shape, eps=eps, **rest)

    patch.setattr(torch.nn.LayerNorm, "__init__", other)


def last_steps(patch):
    from models.scan.backends import numba

    before = numba.forward

    def wrong(args, delta_softplus, keep):
        y, kept = before(args, delta_softplus, keep)
        y[..., -3:] *= 1.01
        return y, kept

    patch.setattr(numba, "forward", wrong)


def late_sign(patch):
    """A of the wrong sign from step 8192 on."""
    from models.scan.backends import numba

    before = numba.forward

    def wrong(args, delta_softplus, keep):
        y, kept = before(args, delta_softplus, keep)
        if y.shape[-1] > 8192:
            y[..., 8192:] = before(args._replace(A=-args.A), delta_softplus, keep)[0][..., 8192:]
        return y, kept

    patch.setattr(numba, "forward", wrong)


def gradient_of_decay(patch):
    from models.scan.backends import numba

    before = numba.backward

    def wrong(*args):
        du, ddelta, dA, *rest = before(*args)
        return du, ddelta, -dA, *rest

    patch.setattr(numba, "backward", wrong)


def depth_off(patch):
    from models.parts.layers import StochasticDepth

    patch.setattr(StochasticDepth, "forward", lambda _self, x: x)


def skip_left_out(patch):
    from models.scan.backends import reference

    before = reference.forward

    def without(args, *rest, **named):
        return before(args._replace(D=None if args.D is None else torch.zeros_like(args.D)), *rest, **named)

    patch.setattr(reference, "forward", without)


def official_names(patch):
    from models.designs import vmambair

    rules = tuple((ours, theirs.replace("norm1", "norm2")) for ours, theirs in vmambair._OSS_RULES)
    patch.setattr(vmambair, "_OSS_RULES", rules)


OF_NETWORKS = (
    Mutation("scan direction order swapped", "outputs", U_NET, "reference/plain", scan_order),
    Mutation("scan direction order swapped, in a light network", "outputs", LIGHT, "reference/plain", scan_order),
    Mutation("LayerNorm's eps changed", "outputs", CLASSIC, "faint", norm_epsilon),
    Mutation("LayerNorm's eps changed, seen in the layers", "networks", "parameters", "layers", norm_epsilon),
    Mutation(
        "padding repeats the border", "outputs", U_NET, "reference/plain", edit("models.base:pad_to_multiple", '"reflect"', '"replicate"')
    ),
    Mutation(
        "the bias of the step dropped, in a light network",
        "outputs",
        LIGHT,
        "reference/plain",
        edit("models.parts.s6:DirectionalS6._parameters_of_scan", "self.dt_proj, bias,", "self.dt_proj, 0 * bias,"),
    ),
    Mutation(
        "the bias of the step dropped, in a classic network",
        "outputs",
        CLASSIC,
        "numba/plain",
        edit("models.parts.s6:DirectionalS6._parameters_of_scan", "self.dt_proj, bias,", "self.dt_proj, 0 * bias,"),
    ),
    Mutation(
        "the decay half as fast",
        "outputs",
        CLASSIC,
        "reference",
        edit("models.parts.s6:DirectionalS6._parameters_of_scan", "-torch.exp(", "-0.5 * torch.exp("),
    ),
    Mutation("stochastic depth off", "outputs", "stochastic depth", "stochastic depth", depth_off),
    Mutation("another mean subtracted", "outputs", CLASSIC, "reference", constant("models.parts.residual:DIV2K_MEAN", (0.45, 0.44, 0.40))),
    Mutation(
        "GELU approximated", "outputs", U_NET, "reference", lambda patch: patch.setattr(F, "gelu", partial(F.gelu, approximate="tanh"))
    ),
    Mutation("the scan's skip left out", "outputs", U_NET, "reference/plain", skip_left_out),
    Mutation(
        "the gate of the scan left out", "outputs", LIGHT, "plain", edit("models.parts.vss:VisionStateSpace.forward", "* F.silu(v)", "* v")
    ),
    Mutation(
        "weights drawn otherwise", "outputs", LIGHT, "initial weights", edit("models.base:trunc_normal_linears", "std=0.02", "std=0.03")
    ),
    Mutation("a kernel wrong in its last steps", "scans", "numba", "scans/numba", last_steps),
    Mutation("A of the wrong sign from step 8192 on", "scans", "numba", "scans/numba", late_sign),
    Mutation("the gradient of A of the wrong sign", "scans", "numba", "scans/numba", gradient_of_decay),
    Mutation(
        "authors' names of parameters mixed up",
        "networks",
        "parameters",
        "official names",
        official_names,
    ),
    Mutation(
        "cost formula without the skip term",
        "networks",
        "costs",
        "macs/selective_scan",
        edit("models.scan.op:scan_macs", "(batch * length * channels if skip else 0)", "0"),
    ),
    Mutation(
        "costs at a size that is not padded",
        "networks",
        "costs",
        "",
        edit("suite.measure.costs.count:Counted.at", "-(-side // multiple) * multiple", "(side // multiple - 1) * multiple"),
    ),
)
