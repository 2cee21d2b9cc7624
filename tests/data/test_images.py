"""Odd image files: each is handled or refused by name, never silently wrong."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suite.core.errors import Exit, SuiteError
from suite.data.check.inspection import facts_of
from suite.data.images import IMAGE_SUFFIXES, describe, read_image, read_stored

RGB = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def of(mode):
    if mode.startswith("I;16"):
        return Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(RGB).convert(mode)


def alpha(value):
    return Image.fromarray(np.dstack([RGB, np.full(RGB.shape[:2], value, np.uint8)]))


def palette(clear):
    image = Image.fromarray(RGB // 128 * 128).quantize(8)
    if clear is not None:
        image.info["transparency"] = clear
    return image


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return Image.fromarray(RGB), {"exif": exif}


def keyed(colour):
    return Image.fromarray(RGB), {"transparency": colour}


def frames():
    return Image.fromarray(RGB), {"save_all": True, "append_images": [Image.fromarray(255 - RGB)]}


ABSENT = next(colour for colour in np.ndindex(9, 9, 9) if not np.equal(RGB, colour).all(axis=2).any())

# file, image and how it is saved, what is expected: an array, or words of the refusal
FILES = {
    "rgb.png": (of("RGB"), {}, RGB),
    "rgb.bmp": (of("RGB"), {}, RGB),
    "rgb.tif": (of("RGB"), {}, RGB),
    "lossless.webp": (of("RGB"), {"lossless": True}, RGB),
    "grey.png": (of("L"), {}, np.repeat(np.asarray(of("L"))[..., None], 3, axis=2)),
    "grey.bmp": (of("L"), {}, np.repeat(np.asarray(of("L"))[..., None], 3, axis=2)),
    "opaque.png": (alpha(255), {}, RGB),
    "glass.png": (alpha(254), {}, "a transparent part"),
    "la-opaque.png": (of("LA"), {}, np.repeat(np.asarray(of("L"))[..., None], 3, axis=2)),
    "la-glass.png": (Image.merge("LA", [of("L"), Image.new("L", (7, 9), 9)]), {}, "a transparent part"),
    "palette.png": (palette(None), {}, np.asarray(palette(None).convert("RGB"))),
    "palette-clear.png": (palette(None), {"transparency": 0}, "a transparent part"),
    "key-absent.png": (*keyed(ABSENT), RGB),
    "key.png": (*keyed(tuple(int(value) for value in RGB[3, 3])), "a transparent part"),
    "deep.png": (of("I;16"), {}, "16 bits a channel"),
    "deep.tif": (of("I;16"), {}, "16 bits a channel"),
    "ink.jpg": (of("CMYK"), {}, "mode CMYK"),
    "ink.tif": (of("CMYK"), {}, "mode CMYK"),
    "bits.png": (of("1"), {}, "mode 1"),
    "float.tif": (of("F"), {}, "mode F"),
    "whole.tif": (of("I"), {}, "mode I"),
    "turned.png": (*turned(), np.rot90(RGB, -1)),
    "pages.tif": (*frames(), "2 frames or pages"),
    "moving.png": (*frames(), "2 frames or pages"),
    "moving.webp": (*frames(), "2 frames or pages"),
}


@pytest.fixture(params=FILES)
def odd(request, tmp_path):
    image, how, expected = FILES[request.param]
    path = tmp_path / request.param
    image.save(path, **how)
    return path, expected


def test_every_kind_of_file_is_read_exactly_or_refused_by_name(odd):
    path, expected = odd
    facts = facts_of(path)
    if isinstance(expected, str):
        with pytest.raises(SuiteError, match=expected) as caught:
            read_image(path)
        assert str(path) in str(caught.value)
        assert caught.value.exit is Exit.NOT_READY
        assert facts.problem == str(caught.value)
    else:
        np.testing.assert_array_equal(read_image(path), expected)
        assert facts.problem == ""
        assert (facts.height, facts.width) == expected.shape[:2]


WHAT = {
    "rgb.png": (7, 9, "", ()),
    "opaque.png": (7, 9, "", ()),
    "glass.png": (7, 9, "", ()),  # its head does not tell
    "grey.bmp": (7, 9, "", ("grey: one channel, which a protocol repeats in three or takes as it is",)),
    "deep.png": (7, 9, "16 bits a channel", ()),
    "bits.png": (7, 9, "mode 1", ()),
    "float.tif": (7, 9, "mode F", ()),
    "turned.png": (9, 7, "", ("turned upright by its EXIF orientation 6",)),
    "palette.png": (7, 9, "", ("palette: its colours are looked up",)),
}


@pytest.mark.parametrize("name", WHAT)
def test_what_a_file_is_is_said(tmp_path, name):
    image, how, _ = FILES[name]
    image.save(tmp_path / name, **how)
    facts, (width, height, problem, remarks) = describe(tmp_path / name), WHAT[name]
    assert (facts.width, facts.height, facts.remarks) == (width, height, remarks)
    assert bool(facts.problem) == bool(problem)
    assert problem in facts.problem


def test_a_file_of_another_format_than_its_name_says_is_noted(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png", format="JPEG")
    assert describe(tmp_path / "a.png").remarks == ("a JPEG file, whatever its name",)


@pytest.mark.parametrize(
    ("kind", "value"), [(3, 0), (3, 9), (1, 0), (7, 6), (2, ord("6")), (4, 2**31), (5, 0)]
)  # of a tag's value: 3 is right
def test_an_orientation_that_is_none_is_ignored(tmp_path, kind, value):
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0112, kind, 1, value, 0)
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    facts = describe(tmp_path / "a.png")
    assert (facts.width, facts.height, facts.problem, facts.remarks) == (7, 9, "", ())
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), RGB)


def test_a_camera_s_preview_is_left_out(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Image.fromarray(255 - RGB)])
    single = io.BytesIO()
    Image.fromarray(RGB).save(single, format="JPEG")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), np.asarray(Image.open(single)))
    assert "left out" in describe(tmp_path / "a.jpg").remarks[0]


BROKEN = {
    "empty.png": (b"", "empty"),
    "text.png": (b"no image", "no image format that is known"),
    "half.png": (None, "cannot be read as an image"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_image_is_said(tmp_path, name):
    content, said = BROKEN[name]
    if content is None:
        whole = io.BytesIO()
        Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole, format="PNG")
        content = whole.getvalue()[: whole.tell() // 2]
    (tmp_path / name).write_bytes(content)
    assert said in facts_of(tmp_path / name).problem
    with pytest.raises(SuiteError, match=said):
        read_image(tmp_path / name)
    assert "there is no image file" in describe(tmp_path / "none.png").problem


ENCODERS = {"png": {}, "jpg": {"quality": 90}, "bmp": {}, "tif": {}, "webp": {"lossless": True}}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged TIFF files
@given(st.sampled_from(sorted(ENCODERS)), st.sampled_from(["RGB", "L", "RGBA", "P"]), st.floats(0, 0.999))
def test_a_file_cut_anywhere_is_refused_or_whole(tmp_path_factory, ending, mode, part):
    if ending == "jpg" and mode in ("RGBA", "P"):
        mode = "RGB"
    path = tmp_path_factory.getbasetemp() / f"cut.{ending}"
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)).convert(mode)
    noise.save(path, **ENCODERS[ending])
    whole, content = read_image(path), path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    facts = facts_of(path)
    if facts.problem:
        assert str(path) in facts.problem
        with pytest.raises(SuiteError, match=r"cannot be read|transparent part"):
            read_image(path)
    else:
        np.testing.assert_array_equal(read_image(path), whole)  # only what follows the pixels was cut


GREY_FILES = {
    "l.png": of("L"),
    "la.png": of("LA"),
    "l-key.png": of("L"),
    "l.jpg": of("L"),
    "l.bmp": of("L"),
    "equal.png": of("L").convert("RGB"),
    "palette.png": of("L").convert("RGB").quantize(256),
}


@pytest.mark.parametrize("name", GREY_FILES)
def test_a_grey_file_is_one_of_one_channel_and_no_other(tmp_path, name):
    path, plane = tmp_path / name, np.asarray(of("L"))[..., None]
    absent = next(level for level in range(256) if level not in plane)
    GREY_FILES[name].save(path, **({"transparency": absent} if name == "l-key.png" else {}))
    stored, whole = read_stored(path), read_image(path)
    assert stored.shape[2] == (3 if name in ("equal.png", "palette.png") else 1)
    np.testing.assert_array_equal(np.broadcast_to(stored, whole.shape), whole)
    if not name.endswith(".jpg"):
        np.testing.assert_array_equal(stored[..., :1], plane)
    assert any("grey: one channel" in remark for remark in describe(path).remarks) == (stored.shape[2] == 1)


def test_suffixes_are_those_that_can_be_read():
    assert {f".{ending}" for ending in ENCODERS} <= IMAGE_SUFFIXES
