"""The one place that opens image files: its formats, its limit, and what it says of what cannot be read."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from fuzzed_images import can_write
from PIL import Image
from places import ROOT

from suite.core.errors import Exit, SuiteError
from suite.data import opener
from suite.data.check.inspection import facts_of
from suite.data.images import describe, read_image, read_stored
from suite.measure.inference.restore import read_picture

RGB = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
LOSSLESS = {".png": {}, ".bmp": {}, ".dib": {}, ".tif": {}, ".ppm": {}, ".pnm": {}, ".tga": {}, ".qoi": {}, ".apng": {"format": "PNG"}}
LOSSLESS |= {".jp2": {"irreversible": False}, ".webp": {"lossless": True}}


def write(path, image=None, **how):
    (image or Image.fromarray(RGB)).save(path, **how)
    return path


def refusal(path, read=read_image):
    with pytest.raises(SuiteError) as caught:
        read(path)
    assert caught.value.exit is Exit.NOT_READY
    assert str(path) in str(caught.value)
    return str(caught.value)


# Formats


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("ending", LOSSLESS)
def test_every_lossless_ending_is_read_in_any_case(tmp_path, ending, case):
    if ending == ".qoi" and not can_write("QOI"):
        pytest.skip("this Pillow writes no QOI")
    path = write(tmp_path / f"a{case(ending)}", **{"format": Image.registered_extensions().get(ending)} | LOSSLESS[ending])
    np.testing.assert_array_equal(read_image(path), RGB)
    np.testing.assert_array_equal(read_picture(path).planes, RGB)
    assert describe(path).remarks == ()


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".jpe", ".jfif", ".gif", ".avif"])
def test_every_other_ending_is_read(tmp_path, ending):
    if ending == ".avif" and not can_write("AVIF"):
        pytest.skip("this Pillow has no AVIF")
    path = write(tmp_path / f"a{ending}", format={".gif": "GIF", ".avif": "AVIF"}.get(ending, "JPEG"))
    assert read_image(path).shape == read_picture(path).planes.shape == RGB.shape
    assert not any("whatever its name" in remark for remark in describe(path).remarks)


def test_every_ending_is_of_a_format_that_pillow_has():
    Image.init()
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in opener.FORMATS}
    assert known - {".avifs", ".pfm"} == opener.IMAGE_SUFFIXES - ({".avif"} - known)


def test_a_format_that_starts_another_program_is_not_opened(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    assert "no image format that is known" in refusal(tmp_path / "a.png")


def test_a_format_without_a_beginning_of_its_own_is_told_by_the_name_alone(tmp_path):
    content = write(tmp_path / "a.tga").read_bytes()
    (tmp_path / "a.png").write_bytes(content)
    assert "no image format that is known" in refusal(tmp_path / "a.png")


DEEP = np.arange(63, dtype=np.uint16).reshape(9, 7) * 1000


def deep_files(folder):
    write(folder / "deep.png", Image.fromarray(DEEP))
    write(folder / "deep.jp2", Image.fromarray(DEEP))
    (folder / "grey.pgm").write_bytes(b"P5 7 9 65535\n" + DEEP.astype(">u2").tobytes())
    (folder / "colour.ppm").write_bytes(b"P6 7 9 1023\n" + np.repeat(DEEP[..., None] // 64, 3, axis=2).astype(">u2").tobytes())
    (folder / "plain.ppm").write_text(f"P3 7 9 4095\n{' '.join(['4000 1 2'] * 63)}\n")
    return sorted(folder.iterdir())


def test_more_than_eight_bits_are_refused_where_pillow_would_cut_them(tmp_path):
    for path in deep_files(tmp_path):
        assert "bits a channel" in refusal(path), path
        assert "bits a channel" in refusal(path, read_picture), path
        assert "bits a channel" in describe(path).problem, path


@pytest.mark.parametrize(("code", "bits"), [(7, 8), (9, 10), (0x8B, 12)])
def test_the_depth_of_a_jpeg_2000_file_is_that_of_its_head(tmp_path, code, bits):
    head = b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 47, 0, 7, 9, 0, 0, 7, 9, 0, 0, 3) + bytes([code, 1, 1] * 3)
    (tmp_path / "a.j2k").write_bytes(head)
    assert opener._coded_depth(tmp_path / "a.j2k", "JPEG2000") == bits


@pytest.mark.parametrize(("flags", "bits"), [(0x0C, 8), (0x4C, 10)])
def test_the_depth_of_an_avif_file_is_that_of_its_head(tmp_path, flags, bits):
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x1cftypavif" + b"\0\0\0\x0cav1C\x81\x20" + bytes([flags, 0]))
    assert opener._coded_depth(tmp_path / "a.avif", "AVIF") == bits


def test_a_bitmap_of_five_bits_a_channel_is_not_taken_for_sixteen(tmp_path):
    pixels = struct.pack("<4H", 0x7FFF, 0x001F, 0x03E0, 0x7C00)  # white, blue / green, red, from the bottom
    head = struct.pack("<2sIHHI", b"BM", 62, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 2, 2, 1, 16, 0, 8, 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(head + pixels)
    assert read_image(tmp_path / "a.bmp").tolist() == [[[0, 255, 0], [255, 0, 0]], [[255, 255, 255], [0, 0, 255]]]


# One set of rules


RULES = {  # mode: whether it is measured, whether it is restored
    "RGB": (True, True),
    "L": (True, True),
    "P": (True, True),
    "LA": (False, True),  # transparent in part
    "RGBA": (False, True),
    "1": (False, True),
    "CMYK": (False, False),
    "F": (False, False),
    "I": (False, False),
}


@pytest.mark.parametrize("mode", RULES)
def test_each_verb_takes_what_it_states(tmp_path, mode):
    image = Image.fromarray(np.dstack([RGB, RGB[..., 0]])).convert("RGB" if mode in ("P", "CMYK", "F", "I") else "RGBA")
    path = write(tmp_path / "a.tif", image.convert("L").convert(mode) if mode in ("F", "I") else image.convert(mode))
    for read, taken, words in zip((read_stored, read_picture), RULES[mode], ("images are read", "are restored"), strict=True):
        if taken:
            read(path)
        else:
            assert words in refusal(path, read)


@pytest.mark.parametrize("ending", ["png", "webp", "tif", "gif", "avif"])
def test_several_frames_are_refused_by_every_reader(tmp_path, ending):
    if ending == "avif" and not can_write("AVIF"):
        pytest.skip("this Pillow has no AVIF")
    path = write(tmp_path / f"a.{ending}", save_all=True, append_images=[Image.fromarray(255 - RGB)])
    for read in (read_image, read_stored, read_picture):
        said = refusal(path, read)
        assert "2 frames or pages" in said
        assert "Save the one that is meant by itself" in said


def test_a_single_frame_of_a_format_that_may_have_several_is_read(tmp_path):
    assert read_image(write(tmp_path / "a.gif", Image.fromarray(RGB).quantize(8))).shape == RGB.shape


# What cannot be read


def tiff_without_dimensions():
    """A little-endian TIFF file with one tag, of no use."""
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 259, 3, 1, 1) + b"\0\0\0\0"


DAMAGED = {
    "a.tif": (tiff_without_dimensions(), "damaged at its beginning"),
    "b.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
    "c.png": (b"\n<!DOCTYPE html><html>quota exceeded</html>", "a web page"),
    "d.png": (b"", "it is empty"),
    "e.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 40, "cannot be read as an image"),
    "f.ppm": (b"P6 9", "cannot be read as an image"),
    "g.tga": (b"\0" * 3, "cannot be read as an image"),
    "h.qoi": (b"qoif" + struct.pack(">IIBB", 7, 9, 3, 0), "cannot be read as an image"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_by_name_and_why(tmp_path, name):
    content, said = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    for read in (read_image, read_stored, read_picture):
        assert said in refusal(tmp_path / name, read)
    assert said in facts_of(tmp_path / name).problem


class Opened:
    """What Pillow gives of a file whose decoder raises `error`."""

    format, mode, size, width, height, tile, n_frames = "PNG", "RGB", (7, 9), 7, 9, (), 1

    def __init__(self, error):
        self.error = error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def load(self):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        KeyError(273),
        TypeError("Missing dimensions"),
        struct.error("4 bytes"),
        RecursionError(),
        OSError(-2),
        EOFError(),
        ZeroDivisionError(),
    ],
)
def test_whatever_a_decoder_raises_is_said_with_the_file(tmp_path, monkeypatch, error):
    monkeypatch.setattr(Image, "open", lambda *_, **__: Opened(error))
    said = refusal(tmp_path / "a.png")
    assert f"it is damaged ({type(error).__name__}" in said
    assert all(str(word) in said for word in error.args)


def test_what_does_not_fit_into_memory_is_said_with_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: Opened(MemoryError()))
    assert "its 7x9 pixels do not fit into memory" in refusal(tmp_path / "a.png")


def test_an_interruption_is_no_damaged_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: Opened(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        read_image(tmp_path / "a.png")


def test_a_link_that_leads_nowhere_is_no_missing_file(tmp_path):
    (tmp_path / "a.png").symlink_to("gone/a.png")
    (tmp_path / "b.png").symlink_to("b.png")
    assert "a link to gone/a.png, which is not there" in refusal(tmp_path / "a.png")
    assert "cannot be read" in refusal(tmp_path / "b.png")
    assert "there is no image file" in refusal(tmp_path / "c.png")


def test_a_file_that_must_not_be_read_is_said(tmp_path, monkeypatch):
    def deny(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", deny)
    assert "cannot be read: Permission denied" in refusal(tmp_path / "a.png")


def test_decoders_write_nothing_of_their_own(tmp_path):
    """libtiff writes to the process's own standard error, Pillow logs and warns: in a fresh process, as a verb is."""
    whole = io.BytesIO()
    Image.fromarray(RGB).save(whole, format="TIFF", compression="tiff_lzw")
    content = whole.getvalue().replace(struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 256, 4, 9))
    (tmp_path / "a.tif").write_bytes(content[:8] + b"\xff" * 30 + content[38:])
    (tmp_path / "b.tif").write_bytes(tiff_without_dimensions())
    code = "import sys; from pathlib import Path; from suite.data.check.inspection import facts_of; "
    code += "[print(facts_of(Path(name)).problem) for name in sys.argv[1:]]"
    files = map(str, sorted(tmp_path.iterdir()))
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stderr == ""
    assert done.stdout.count("cannot be read as an image") == 2


# Very large pictures


def test_a_very_large_image_is_refused_in_words_of_our_own_and_allowed_by_an_option(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", Image.new("1", (15000, 12000)))  # 180 megapixels in 30 kB
    for read in (read_image, read_picture):
        said = refusal(path, read)
        assert "15000x12000 pixels, 180 megapixels" in said
        assert "--max-megapixels 180" in said
    assert "180 megapixels" in describe(path).problem
    monkeypatch.setenv(opener.LIMIT, "180")
    assert describe(path).problem.startswith(f"{path} has mode 1")


def test_the_limit_is_exact_and_must_be_a_number(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png")
    monkeypatch.setenv(opener.LIMIT, "0.000063")
    read_image(path)
    monkeypatch.setenv(opener.LIMIT, "0.000062")
    assert "up to 6.2e-05 are read unasked" in refusal(path)
    for text in ("many", "0", "-1", "nan"):
        monkeypatch.setenv(opener.LIMIT, text)
        with pytest.raises(SuiteError, match=r"SUITE_MAX_MEGAPIXELS is .* a number of millions of pixels above 0"):
            read_image(path)


def test_a_problem_that_may_go_is_looked_at_again(tmp_path, monkeypatch):
    from suite.data.check.inspection import Remembered

    path = write(tmp_path / "a.png")
    monkeypatch.setenv(opener.LIMIT, "0.00001")
    first = Remembered(tmp_path / "facts.json")
    assert "megapixels" in dict(first.facts([path]))[path].problem
    first.save()
    monkeypatch.delenv(opener.LIMIT)
    assert dict(Remembered(tmp_path / "facts.json").facts([path]))[path].problem == ""
