"""MATLAB's files of version 7.3, as DND is shipped in them, and the files to submit."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.data.mat_files import block_names, describe_mat, read_block, read_cells, read_variable

h5py = pytest.importorskip("h5py", reason="reads .mat files of version 7.3: pip install 'h5py>=3.10'")

HEAD = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 1970 HDF5 schema 1.00 ."


def dataset(parent, name, value, kind=None):
    made = parent.create_dataset(name, data=np.ascontiguousarray(value.T))
    made.attrs["MATLAB_class"] = np.bytes_(kind or {"float64": "double", "float32": "single"}.get(str(value.dtype), str(value.dtype)))
    return made


def cell(file, parent, name, values):
    """A column of cells, as references to what lies in #refs#."""
    kept = file.require_group("#refs#")
    references = [dataset(kept, f"{name}{index}", value).ref for index, value in enumerate(values)]
    made = parent.create_dataset(name, data=np.array([references], dtype=h5py.ref_dtype))
    made.attrs["MATLAB_class"] = np.bytes_("cell")


def mat73(path, variables, structures=None):
    """Writes a file as MATLAB's `save -v7.3` lays it out: a head of its own before HDF5, axes reversed, cells as references."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            dataset(file, name, value)
        for name, fields in (structures or {}).items():
            group = file.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for field, values in fields.items():
                cell(file, group, field, values)
    with path.open("r+b") as file:
        file.write(HEAD.ljust(124) + b"\x00\x02IM")
    return path


def test_arrays_come_back_as_matlab_has_them(tmp_path):
    held = {"a": np.arange(24, dtype=np.float64).reshape(2, 3, 4), "b": np.arange(6, dtype=np.uint8).reshape(3, 2)}
    path = mat73(tmp_path / "x.mat", held, {"info": {"boundingboxes": [held["a"], held["b"]]}})
    assert path.read_bytes()[512:520] == b"\x89HDF\r\n\x1a\n"
    assert describe_mat(path).statement == "MATLAB 7.3 (HDF5): a 2x3x4 double, b 3x2 uint8, info 1x1 struct"
    for name, value in held.items():
        np.testing.assert_array_equal(read_variable(path, name), value)
    for found, value in zip(read_cells(path, "info", "boundingboxes"), held.values(), strict=True):
        np.testing.assert_array_equal(found, value)


def test_both_versions_of_a_file_say_the_same(tmp_path):
    cells = np.empty((2, 1), dtype=object)
    cells[:, 0] = [np.eye(2), np.ones((1, 3))]
    savemat(tmp_path / "old.mat", {"a": np.eye(3), "info": {"boxes": cells}})
    mat73(tmp_path / "new.mat", {"a": np.eye(3)}, {"info": {"boxes": list(cells[:, 0])}})
    for name in ("old.mat", "new.mat"):
        np.testing.assert_array_equal(read_variable(tmp_path / name, "a"), np.eye(3))
        assert [found.shape for found in read_cells(tmp_path / name, "info", "boxes")] == [(2, 2), (1, 3)]
        for wrong in (lambda path: read_variable(path, "b"), lambda path: read_cells(path, "info", "bees")):
            with pytest.raises(SuiteError, match=rf"{name} should hold .*, and is MATLAB .*: a 3x3 double"):
                wrong(tmp_path / name)


def test_blocks_are_read_from_version_7_3(tmp_path):
    blocks = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 6, 3), dtype=np.uint8)
    path = mat73(tmp_path / "ValidationGtBlocksSrgb.mat", {"ValidationGtBlocksSrgb": blocks})
    assert block_names(path)[-1] == "02-03"
    np.testing.assert_array_equal(read_block(path, 4), blocks[1, 1])


def test_a_file_that_is_cut_off_is_named(tmp_path):
    path = mat73(tmp_path / "x.mat", {"a": np.eye(50)})
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(SuiteError, match=r"x\.mat cannot be read as a \.mat file of version 7\.3") as caught:
        describe_mat(path)
    assert caught.value.exit is Exit.NOT_READY


@pytest.fixture
def dnd(tmp_path):
    """Two photographs with two boxes each, in the benchmark's own layout."""
    rng = np.random.default_rng(0)
    images = [rng.random((10, 12, 3)), rng.random((9, 8, 3))]
    boxes = [np.array([[1.0, 1, 4, 5], [3, 2, 10, 12]]), np.array([[1.0, 1, 9, 8], [2, 3, 5, 6]])]
    for number, image in enumerate(images, 1):
        mat73(tmp_path / f"DND/images_srgb/{number:04d}.mat", {"InoisySRGB": image})
    mat73(tmp_path / "DND/info.mat", {}, {"info": {"boundingboxes": boxes}})
    return tmp_path / "DND", images


def test_dnd_cannot_be_measured_here_and_that_is_said(capsys):
    assert main.main(["evaluate", "identity", "--task", "real-denoise", "--data", "DND"]) == Exit.NOT_READY
    said = capsys.readouterr().err
    assert "kept by the benchmark's server" in said
    assert "python -m suite restore" in said


def test_dnd_is_restored_into_the_files_to_submit(dnd, tmp_path, capsys):
    folder, images = dnd
    words = ["restore", str(folder), str(tmp_path / "out"), "--model", "identity", "--task", "real-denoise"]
    assert main.main(words) == Exit.DONE
    assert "2 of 2 photographs restored by identity" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001.mat", "0002.mat"]
    sent = loadmat(tmp_path / "out/0001.mat")
    assert (sent["Idenoised"].shape, sent["israw"].item(), sent["eval_version"].item()) == ((1, 2), 0, "1.0")
    np.testing.assert_array_equal(sent["Idenoised"][0, 0], images[0][0:4, 0:5].astype(np.float32))
    np.testing.assert_array_equal(sent["Idenoised"][0, 1], images[0][2:10, 1:12].astype(np.float32))
    assert sent["Idenoised"][0, 0].dtype == np.float32
    assert main.main(words) == Exit.USAGE
    assert "--overwrite" in capsys.readouterr().err
    assert main.main([*words, "--overwrite"]) == Exit.DONE
    assert main.main([*words, "--suffix", "x"]) == Exit.USAGE


def test_a_photograph_that_is_missing_or_too_small_is_named(dnd, tmp_path, capsys):
    folder, images = dnd
    words = ["restore", str(folder), str(tmp_path / "out"), "--model", "identity", "--task", "real-denoise"]
    mat73(folder / "images_srgb/0002.mat", {"InoisySRGB": images[1][:5]})
    assert main.main(words) == Exit.INCOMPLETE
    assert "0002.mat holds 5x8x3 values; rows 1 to 9" in capsys.readouterr().err
    (folder / "images_srgb/0001.mat").unlink()
    assert main.main(words) == Exit.NOT_READY
    assert "has 1 fewer, such as 0001.mat" in capsys.readouterr().err
