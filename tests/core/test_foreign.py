"""What is no checkpoint is called by its name, with its size and what to do; nothing is run or warned of."""

import argparse
import bz2
import gzip
import io
import os
import pickle
import sys
import tarfile
import types
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save

from suite.core import tensors
from suite.core.errors import Exit, SuiteError

STATE = {"params": {"a.weight": torch.ones(300), "b.bias": torch.zeros(4)}}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 67234123\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html><html><head><title>Quota exceeded</title></head><body>Too many users</body></html>"
DENIED = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>'


class Trap:
    """Would make a folder when unpickled."""

    def __reduce__(self):
        return os.mkdir, ("trap",)


def saved(held=STATE, **how):
    stream = io.BytesIO()
    torch.save(held, stream, **how)
    return stream.getvalue()


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


def tarred(name, content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        about = tarfile.TarInfo(name)
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    return stream.getvalue()


WHOLE, LEGACY, SAFE = saved(), saved(_use_new_zipfile_serialization=False), save(STATE["params"])
FOREIGN = {
    "lfs": (POINTER, r"a Git LFS pointer to a file of 67,234,123 bytes.*git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s1--0.pth\n", "git-annex pointer.*git annex get"),
    "page": (PAGE, "a web page titled 'Quota exceeded'.*open the address in a browser"),
    "denied": (DENIED, "a web page"),
    "text": (b"Entry not found", "a text that begins 'Entry not found'"),
    "json": ('{"error": "Repository café not found"}'.encode(), "a text that begins"),
    "long text": (("ä" * 1500).encode(), "a text that begins"),
    "empty": (b"", "an empty file.*again"),
    "zeros": (bytes(9000), "begins with zeros alone"),
    "zip": (zipped(**{"net_g.pth": WHOLE}), r"a zip archive of net_g\.pth.*Unpack it"),
    "gzip": (gzip.compress(WHOLE), "a gzip archive.*Unpack it"),
    "bzip2": (bz2.compress(WHOLE), "a bzip2 archive.*Unpack it"),
    "tar": (tarred("net_g.pth", WHOLE), r"a tar archive of net_g\.pth.*Unpack it"),
    "npz": (zipped(**{"a.npy": b"x"}), "an archive of NumPy arrays"),
    "TorchScript": (
        zipped(x__constants="", x__code__y=b"", **{"x__constants.pkl": b"", "x__data.pkl": b""}),
        "a TorchScript program.*state dict",
    ),
    "pt2": (zipped(x__archive_format=b"pt2"), "an exported program"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:" + bytes(90), "an ONNX model"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(90), "a PNG image"),
    "pickle": (pickle.dumps({"params": [1]}), "a Python pickle that torch did not write.*could run code"),
    "trap": (pickle.dumps(Trap(), 2), "a Python pickle that torch did not write.*could run code"),
    "cut zip": (WHOLE[: len(WHOLE) // 2], "the beginning of a zip file.*cut off"),
    "cut header": (SAFE[:40], "the beginning of a safetensors file, whose header alone.*cut off"),
    "cut safetensors": (SAFE[:-9], rf"the beginning of a safetensors file of {len(SAFE):,} bytes.*cut off"),
    "damaged header": (SAFE.replace(b'"dtype"', b'"dtypo?', 1), "a safetensors file with a damaged header"),
}


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_no_checkpoint_is_named(tmp_path, monkeypatch, case, ending):
    content, message = FOREIGN[case]
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(action="error"), pytest.raises(SuiteError, match=f"(?s){message}") as error:
        tensors.read(path)
    assert f"{path} ({len(content):,} bytes) is" in str(error.value)
    assert error.value.exit is Exit.NOT_READY
    assert [one.name for one in tmp_path.iterdir()] == [path.name]  # nothing was run


@pytest.mark.parametrize("ending", [".pth", ".safetensors", ""])
@pytest.mark.parametrize("content", [WHOLE, LEGACY, SAFE], ids=["zip", "legacy", "safetensors"])
def test_a_checkpoint_is_read_by_what_is_in_it(tmp_path, content, ending):
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    held = tensors.read(path)
    assert torch.equal(held.get("params", held)["a.weight"], torch.ones(300))


def test_a_legacy_file_that_is_cut_off_says_its_size(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(LEGACY[: len(LEGACY) // 2])
    with pytest.raises(SuiteError, match=rf"{len(LEGACY) // 2:,} bytes\) is damaged, or not a checkpoint of tensors"):
        tensors.read(path)


def test_numbers_and_options_beside_tensors_are_neither_run_nor_in_the_way(tmp_path):
    beside = {"psnr": np.float64(38.2), "iter": np.int64(5), "curve": np.zeros(3), "args": argparse.Namespace(lr=1.0), "out": tmp_path}
    torch.save(STATE | beside, tmp_path / "x.pth")
    held = tensors.read(tmp_path / "x.pth")
    assert torch.equal(held["params"]["a.weight"], torch.ones(300))
    assert {type(held[name]) for name in beside} == {tensors.Bystander}
    torch.save(STATE | {"x": Trap()}, tmp_path / "x.pth")
    with pytest.raises(SuiteError, match=r"asks for posix\.mkdir beside its tensors"):
        tensors.read(tmp_path / "x.pth")


@pytest.mark.parametrize(("name", "kind"), [("easydict.EasyDict", dict), ("omegaconf.dictconfig.DictConfig", object)])
def test_options_of_other_packages_need_no_such_package(tmp_path, monkeypatch, name, kind):
    module, _, called = name.rpartition(".")
    theirs = type(called, (kind,), {"__module__": module})
    monkeypatch.setitem(sys.modules, module.partition(".")[0], types.ModuleType(module))
    monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**{called: theirs}))
    options = theirs()
    options.lr = 1.0
    if kind is dict:
        options["lr"] = 1.0
    torch.save(STATE | {"options": options}, tmp_path / "x.pth")
    monkeypatch.delitem(sys.modules, module)
    assert torch.equal(tensors.read(tmp_path / "x.pth")["params"]["a.weight"], torch.ones(300))


def test_a_list_of_checkpoints_is_read_by_places(tmp_path):
    torch.save([STATE, {"epoch": 3}], tmp_path / "x.pth")
    assert tensors.read(tmp_path / "x.pth").keys() == {"0", "1"}
    for held, kind in ([torch.ones(3)], "list"), (torch.ones(3), "Tensor"):
        torch.save(held, tmp_path / "x.pth")
        with pytest.raises(SuiteError, match=f"holds a {kind}, not named tensors"):
            tensors.read(tmp_path / "x.pth")
