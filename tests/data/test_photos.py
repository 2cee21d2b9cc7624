"""The embedded photographs, and reading image files."""

import hashlib
import io
import json
import struct
import subprocess
import sys
import zlib
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from PIL import Image

from suite.cli import main
from suite.cli.health.check import digest_data
from suite.core.errors import Exit, SuiteError
from suite.core.paths import shipped_folder
from suite.data.cards import SPLITS, card
from suite.data.images import encode_png, list_images, read_image
from suite.data.photos import load_crops, load_photos, photos_folder
from suite.health.gate import baseline_path, load_baseline

PHOTOS = {photo.name: photo for photo in card("photos").image}


@pytest.mark.parametrize("name", PHOTOS)
def test_pixels_are_the_known_ones(name):
    pixels = read_image(photos_folder() / PHOTOS[name].file)
    assert pixels.shape == (*PHOTOS[name].size, 3)
    (version,) = card("photos").version
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == version.pixels[name]


def test_each_photo_is_in_one_split_and_the_stereo_pair_stays_together():
    loaded = {split: [name for name, _ in load_photos(split)] for split in SPLITS}
    assert sorted(name for names in loaded.values() for name in names) == sorted(PHOTOS)
    assert loaded["validation"] == ["hubble_deep_field"]
    assert loaded["test"] == ["astronaut", "chelsea", "coffee", "rocket", "ihc", "gravel"]
    assert PHOTOS["motorcycle_left"].split == PHOTOS["motorcycle_right"].split == "train"


def test_the_crops_that_the_gate_rests_on_stay_where_they_are():
    """Whatever photograph moves between the splits of the card: the committed baseline is of these pixels."""
    names = {split: [name for name, _ in load_crops(split)] for split in SPLITS}
    assert names == {
        "train": ["motorcycle_left", "motorcycle_right", "hubble_deep_field", "ihc", "retina"],
        "validation": ["rocket"],
        "test": ["astronaut", "chelsea", "coffee"],
    }
    assert digest_data() == load_baseline(baseline_path()).data


def test_the_card_states_whose_every_photograph_is():
    assert all(photo.credit and photo.licence and photo.source and photo.content for photo in PHOTOS.values())


def test_the_embedded_photographs_have_a_card_like_any_set(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path))
    assert main.main(["data", "check", "photos", "--json"]) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert [(row["split"], row["images"], row["expected"]) for row in found["sets"]] == [
        ("train", 7, 7),
        ("validation", 1, 1),
        ("test", 6, 6),
    ]
    assert all("targets: pixels are those that the card knows" in row["notes"][0] for row in found["sets"])
    assert main.main(["data", "show", "Photos"]) == Exit.DONE
    shown = capsys.readouterr().out
    assert shown.startswith("photos:")
    assert "Rachel Michetti" in shown
    assert main.main(["data", "show", "photos", "--json"]) == Exit.DONE
    document = json.loads(capsys.readouterr().out)
    assert [image["name"] for image in document["image"] if image["split"] == "validation"] == ["hubble_deep_field"]
    assert [place["split"] for place in document["found"]] == ["train", "validation", "test"]


def test_missing_files_are_named(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    for photo in PHOTOS.values():
        if photo.file != "coffee.png":
            (tmp_path / "data" / photo.file).touch()
    spec = ModuleSpec("skimage", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    with pytest.raises(SuiteError, match=r"coffee\.png.*wheel") as caught:
        load_photos("test")
    assert caught.value.exit is Exit.NOT_READY
    assert "rocket" not in str(caught.value)


def test_a_missing_scikit_image_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SuiteError, match="scikit-image, which is not installed") as caught:
        photos_folder()
    assert caught.value.exit is Exit.NOT_READY


def test_importing_the_data_modules_brings_nothing_heavy():
    code = (
        "import sys, suite.data.sets, suite.data.feed.sampler, suite.measure.quality.fidelity, suite.study.protocols;"
        "print(sorted({'torch', 'scipy', 'skimage', 'PIL', 'pandas', 'ray'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=shipped_folder("datasets").parent)
    assert out.stdout.strip() == "[]"


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)


def test_png_comes_back_as_it_went(tmp_path, pixels):
    data = encode_png(pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    (tmp_path / "a.png").write_bytes(data)
    again = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(again, pixels)
    assert again.dtype == np.uint8
    assert again.flags.writeable


def test_grey_palette_and_opaque_alpha_lose_nothing(tmp_path, pixels):
    grey = pixels[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=2))
    alpha = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), pixels)
    palette = Image.fromarray(pixels).quantize(4)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))


def test_the_camera_s_orientation_is_applied(tmp_path, pixels):
    exif = Image.Exif()
    exif[274] = 6  # to be shown turned by a quarter, clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png"), np.rot90(pixels, -1))


def refused_files(folder, pixels):
    alpha = np.dstack([pixels, np.full(pixels.shape[:2], 128, np.uint8)])
    Image.fromarray(alpha).save(folder / "glass.png")
    Image.fromarray(pixels.astype(np.uint16)[..., 0] * 256).save(folder / "deep.png")
    Image.fromarray(pixels).convert("CMYK").save(folder / "print.tif")
    Image.fromarray(pixels).convert("1").save(folder / "bits.png")
    whole = encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("not an image")
    return {
        "glass.png": "transparent part",
        "deep.png": "16 bits|mode I",
        "print.tif": "mode CMYK",
        "bits.png": "mode 1",
        "cut.png": "cannot be read as an image",
        "text.png": "cannot be read as an image",
        "none.png": "there is no image file",
    }


def test_what_cannot_be_read_as_it_is_is_refused_by_name(tmp_path, pixels):
    for name, reason in refused_files(tmp_path, pixels).items():
        with pytest.raises(SuiteError, match=reason) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert caught.value.exit is Exit.NOT_READY


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_sixteen_bit_colour_is_refused_and_not_cut_to_eight(tmp_path):
    # Pillow writes no such file: a PNG of 4x4 pixels, 16 bits a channel, RGB.
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
    rows = (b"\0" + bytes(4 * 6)) * 4
    data = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(data)
    assert np.asarray(Image.open(tmp_path / "deep.png")).dtype == np.uint8
    with pytest.raises(SuiteError, match="16 bits a channel"):
        read_image(tmp_path / "deep.png")


def test_image_files_are_listed_by_name(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.txt", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG"]
    (tmp_path / "a.bmp").touch()
    with pytest.raises(SuiteError, match=r"two images called 'a': a\.bmp and a\.jpg"):
        list_images(tmp_path)


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(SuiteError, match="no images directly in") as caught:
        list_images(tmp_path)
    assert caught.value.exit is Exit.NOT_READY
