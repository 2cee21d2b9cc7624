"""LPIPS v0.1 (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", 2018) by the package `lpips`.

The package brings the linear layers; the convolutions of AlexNet and VGG16, trained on ImageNet, come from one of two files, and
nothing is ever downloaded here:

- torchvision's weights in torch's cache (`torch.hub.get_dir()`/checkpoints), recognised by the checksum in their names;
- `$SUITE_CACHE/lpips/<net>_features.npz`: `conv1.weight`, `conv1.bias`, `conv2.weight`, ... in torchvision's order and layout,
  float32, and no classifier (10 MB instead of 244 MB for AlexNet). It may hold the linear layers `lin0` ... `lin4` too; they must
  equal the package's.

Where there is neither, or a file does not fit, the metric is unavailable, with the reason. The network is assembled on torch's meta device,
so that a tensor that no file gave has no values at all: random weights cannot get in, and with them no wrong number.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from models.cache import find_in_cache, is_file
from models.lookup import lookup
from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of
from suite.measure.quality.fidelity import unit_planes

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Backbone:
    """The network under a metric: its convolutions, and where their weights lie."""

    net: str  # as lpips calls it
    constructor: str  # as torchvision calls it
    file: str  # torchvision's, which torch's cache keeps; its name ends in the start of its sha256
    convolutions: tuple[int, ...]  # their positions in torchvision's `features`
    smallest: int  # side of an image that leaves something after every pooling, pixels
    sha256: str  # of the convolutions' values, float32, little-endian, in order; "": not known


BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {
        "LPIPS-alex": Backbone(
            "alex",
            "alexnet",
            "alexnet-owt-7be5be79.pth",
            (0, 3, 6, 8, 10),
            31,
            "2b566cc3a4d6f0a7343701af22f461f1ac3dcd03a3ac28cce10968a1d3c85fdc",
        ),
        "LPIPS-vgg": Backbone("vgg", "vgg16", "vgg16-397923af.pth", (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), 16, ""),
    }
)

_LOCK = threading.Lock()  # two threads must not load one network twice


def distance(metric: str, output: np.ndarray, target: np.ndarray) -> float:
    """Return LPIPS of two images of one size, `(H, W, 3)` RGB or `(H, W, 1)` grey, uint8 or floating point in 0..1; 0 where they are equal.

    Raises SuiteError (Exit.NOT_READY) where the metric is unavailable, SuiteError where the sizes differ or are too small for the
    network, ValueError for other types and ranges.
    """
    backbone = lookup("metric of lpips", metric, BACKBONES)
    return distance_by(lambda *images: lpips_network(metric)(*images), backbone, output, target)


def distance_by(network: Callable[..., torch.Tensor], backbone: Backbone, output: np.ndarray, target: np.ndarray) -> float:
    """Return the distance by `network`, which takes two images `(1, 3, H, W)` in -1..1; images and errors as for `distance`."""
    images = [_centred(image) for image in (output, target)]
    if images[0].shape != images[1].shape or min(images[0].shape[-2:]) < backbone.smallest:
        sizes = " and ".join(f"{image.shape[3]}x{image.shape[2]}" for image in images)
        raise SuiteError(
            f"LPIPS-{backbone.net} takes two images of one size, at least {backbone.smallest} pixels a side; these are {sizes}."
        )
    with torch.inference_mode():
        return float(network(*images))


def _centred(image: np.ndarray) -> torch.Tensor:
    """Return `image` as the `(1, 3, H, W)` float32 in -1..1 that lpips takes."""
    return torch.from_numpy(np.ascontiguousarray(2 * unit_planes(image, "LPIPS") - 1, dtype=np.float32))


def lpips_network(metric: str) -> nn.Module:
    """Return the network of `metric`, a name in BACKBONES, loaded once; SuiteError says why it is unavailable and how to fix that."""
    backbone = lookup("metric of lpips", metric, BACKBONES)
    with _LOCK:
        return _assembled(backbone, *_places(backbone))


def _places(backbone: Backbone) -> tuple[Path, Path | None]:
    """Return torch's file, and the one with the convolutions alone, whether or not they exist; None where there is no cache for it."""
    try:
        import lpips  # noqa: F401 - late: an optional package
    except ImportError as error:
        raise SuiteError(
            f"LPIPS-{backbone.net} needs the package lpips, which cannot be imported ({error}). `pip install lpips` fixes it.",
            exit=Exit.NOT_READY,
        ) from None
    return Path(torch.hub.get_dir()) / "checkpoints" / backbone.file, find_in_cache("lpips", f"{backbone.net}_features.npz")


@lru_cache(maxsize=4)
def _assembled(backbone: Backbone, whole: Path, features: Path | None) -> nn.Module:
    """Return the metric's network with every tensor from a file; SuiteError where one is missing or of another shape."""
    import lpips  # late: optional

    linear = torch.load(Path(lpips.__file__).parent / "weights" / "v0.1" / f"{backbone.net}.pth", map_location="cpu", weights_only=True)
    if is_file(whole):
        source, found = whole, _from_torch(backbone, whole)
    elif features is not None and is_file(features):
        source, found = features, _from_features(backbone, features, linear)
    else:
        missing = f"{whole} is not there" if features is None else f"neither {whole} nor {features} is there"
        raise SuiteError(
            f"LPIPS-{backbone.net} needs the weights of {backbone.constructor}: {missing}. {_fix(backbone)}",
            exit=Exit.NOT_READY,
        )
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")  # lpips calls torchvision in a way that is deprecated
        net = lpips.LPIPS(net=backbone.net, pretrained=False, pnet_rand=True, verbose=False)
    state = {f"scaling_layer.{name}": value for name, value in lpips.lpips.ScalingLayer().state_dict().items()}
    for name, value in linear.items():  # lin0.model.1.weight, which the module lists as lins.0.model.1.weight too
        state |= {name: value, f"lins.{name[3:]}": value}
    positions = {name.split(".", 2)[2]: name for name in net.state_dict() if name.startswith("net.")}  # slice1.0.weight
    state |= {positions.get(key, key): torch.from_numpy(value) for key, value in found.items()}
    try:
        net.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise _unfit(backbone, source, str(error)) from None
    return net.eval().requires_grad_(False)


def _from_torch(backbone: Backbone, path: Path) -> Tensors:
    """Read torchvision's file: position in `features`, `0.weight` or `0.bias`, to values."""
    expected = path.stem.rpartition("-")[2]
    found = sha256_of(path)
    if not found.startswith(expected):
        raise _unfit(backbone, path, f"its sha256 begins with {found[: len(expected)]}, not with {expected}; it may be cut off")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise _unfit(backbone, path, str(error)) from None
    names = [f"{position}.{part}" for position in backbone.convolutions for part in ("weight", "bias")]
    missing = [name for name in names if f"features.{name}" not in state]
    if missing:
        raise _unfit(backbone, path, f"it lacks features.{missing[0]}")
    return {name: state[f"features.{name}"].numpy() for name in names}


def _from_features(backbone: Backbone, path: Path, linear: Mapping[str, torch.Tensor]) -> Tensors:
    """Read the file with the convolutions alone: position in `features`, `0.weight` or `0.bias`, to values."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            held = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise _unfit(backbone, path, f"it is not a .npz archive of arrays: {error}") from None
    taken, digest = {}, hashlib.sha256()
    for number, position in enumerate(backbone.convolutions, start=1):
        for part in ("weight", "bias"):
            array = held.pop(f"conv{number}.{part}", None)
            if array is None or array.dtype != np.float32:
                raise _unfit(backbone, path, f"conv{number}.{part} is {'missing' if array is None else f'{array.dtype}, not float32'}")
            taken[f"{position}.{part}"] = array
            digest.update(np.ascontiguousarray(array, dtype="<f4"))
    for name, values in linear.items():
        ours = held.pop(name.split(".")[0], None)
        if ours is not None and not np.array_equal(ours.ravel(), values.numpy().ravel()):
            raise _unfit(backbone, path, f"its linear layer {name.split('.')[0]} is not the one of lpips v0.1")
    if held:
        raise _unfit(backbone, path, f"it holds {', '.join(sorted(held))} too")
    if backbone.sha256 and digest.hexdigest() != backbone.sha256:
        raise _unfit(backbone, path, f"its convolutions are not those that torchvision trained (sha256 {digest.hexdigest()[:12]}...)")
    return taken


def _unfit(backbone: Backbone, path: Path, problem: str) -> SuiteError:
    return SuiteError(
        f"{path} does not fit LPIPS-{backbone.net}: {problem}. Remove it, or put the right file there. {_fix(backbone)}",
        exit=Exit.NOT_READY,
    )


def _fix(backbone: Backbone) -> str:
    code = f"from torchvision.models import {backbone.constructor} as net; net(weights='IMAGENET1K_V1')"
    return f'With a network connection, `python -c "{code}"` fixes it.'
