"""Real image files of every format that is read, and what an accident or an attacker makes of them; and what must hold of each."""

import contextlib
import io
import os
import sys
import tempfile
import time

import numpy as np
from PIL import Image, features

from suite.core.errors import SuiteError
from suite.data.check.inspection import facts_of
from suite.data.images import describe, read_image, read_stored
from suite.measure.inference.restore import read_picture

SLOWEST = 20.0  # seconds for one file of some kilobytes, on a busy machine
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def picture(mode="RGB", seed=0, side=24):
    """Smooth where it may be, so that encoders have something to say in few bytes."""
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(side), np.arange(side + 7))[..., None] * np.array([3, 5, 4]) % 256
    image = Image.fromarray((ramp + rng.integers(0, 9, ramp.shape)).clip(0, 255).astype(np.uint8))
    if mode in ("RGBA", "LA"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(rng.integers(0, 2, image.size[::-1], dtype=np.uint8) * 255))
        return image
    return image.quantize(16) if mode == "P" else image.convert(mode)


def can_write(kind):
    """Whether this Pillow writes the format: older ones have no AVIF, and QOI to read alone."""
    Image.init()
    return kind in Image.SAVE and features.check({"WEBP": "webp", "JPEG2000": "jpg_2000"}.get(kind, "zlib"))


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def ways():
    """(ending, mode, how it is saved)."""
    several = {"save_all": True, "append_images": [picture(seed=1)]}
    yield from ((".png", mode, {}) for mode in ("RGB", "L", "LA", "RGBA", "P", "1", "I;16"))
    yield from ((".png", "RGB", more) for more in ({"exif": turned()}, several, {"icc_profile": b"a profile" * 9}))
    yield from ((".jpg", mode, {"exif": turned()}) for mode in ("RGB", "L", "CMYK"))
    yield ".jpg", "RGB", {"progressive": True, "quality": 70}
    yield from ((".tif", mode, {}) for mode in ("RGB", "L", "RGBA", "P", "1", "CMYK", "F", "I;16"))
    if features.check("libtiff"):
        yield from ((".tif", "RGB", {"compression": how}) for how in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"))
        yield ".tif", "1", {"compression": "group4"}
    yield ".tif", "RGB", several
    if can_write("WEBP"):
        yield from ((".webp", mode, {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (True, False))
        yield ".webp", "RGB", several
    yield from ((".bmp", mode, {}) for mode in ("RGB", "L", "P", "1", "RGBA"))
    yield from ((".gif", mode, {}) for mode in ("P", "L"))
    yield ".gif", "P", {"save_all": True, "append_images": [picture("P", 1)]}
    yield from ((ending, mode, {}) for ending, mode in ((".ppm", "RGB"), (".pgm", "L"), (".pbm", "1")))
    yield from ((".tga", mode, more) for mode in ("RGB", "L", "RGBA") for more in ({}, {"compression": "tga_rle"}))
    if can_write("JPEG2000"):
        yield from ((".jp2", mode, {}) for mode in ("RGB", "L", "RGBA"))
    if can_write("AVIF"):
        yield ".avif", "RGB", {"quality": 60}


def make_seeds():
    """[(ending, the bytes of a sound file)]."""
    seeds = []
    for ending, mode, how in ways():
        file = io.BytesIO()
        file.name = f"a{ending}"
        image = Image.fromarray(np.asarray(picture("L")).astype(np.uint16) * 257) if mode == "I;16" else picture(mode)
        image.save(file, **how)
        seeds.append((ending, file.getvalue()))
    return seeds


def mutate(content, seeds, rng):
    """Return bytes that were flipped, cut, spliced, repeated or given another number, once or several times; most often near the head."""
    data = bytearray(content)
    for _ in range(int(rng.choice((1, 1, 2, 5)))):
        if not data:
            break
        at = int(len(data) * rng.random() ** rng.choice((1, 4)))
        how = rng.choice((0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6))
        if how == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif how == 1:
            data[at] = int(rng.integers(256))
        elif how == 2:
            width, order = int(rng.choice((1, 2, 4))), rng.choice(("little", "big"))
            number = int(rng.choice(INTERESTING)) % 256**width
            data[at : at + width] = number.to_bytes(width, str(order))
        elif how == 3:
            del data[at:]
        elif how == 4:
            del data[at : at + int(rng.integers(1, 64))]
        elif how == 5:
            data[at:at] = data[at : at + int(rng.integers(1, 64))]
        else:
            other = seeds[int(rng.integers(len(seeds)))][1]
            data[at:] = other[int(rng.integers(len(other))) :]
    return bytes(data)


@contextlib.contextmanager
def hushed():
    """Give a function that returns what was written to the process's standard error since, C libraries included."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def said():
            sys.stderr.flush()
            file.seek(0)
            text = file.read()
            file.seek(0)
            file.truncate()
            return text.decode(errors="replace")

        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def attempt(read, path):
    """(what it gives, None), or (None, the words of its refusal, which name the file)."""
    try:
        return read(path), None
    except SuiteError as error:
        words = str(error)
    assert str(path) in words, f"does not name the file: {words}"
    assert "\n" not in words, f"more than a line: {words!r}"
    return None, words


def examine(path):
    """Whether the file is read; AssertionError, or whatever else is raised, where the readers do not keep what they promise."""
    started = time.monotonic()
    head, facts = describe(path), facts_of(path)
    stored, refused = attempt(read_stored, path)
    whole, other = attempt(read_image, path)
    restored, unrestored = attempt(read_picture, path)
    assert (refused is None) == (other is None) == (not facts.problem), (refused, other, facts.problem)
    if head.problem:
        assert refused, f"only its head is refused: {head.problem}"
    if refused is None:
        assert unrestored is None, f"measured, but not restored: {unrestored}"
        assert stored.dtype == whole.dtype == np.uint8
        assert whole.shape == (*stored.shape[:2], 3) == (facts.height, facts.width, 3), (whole.shape, stored.shape, facts)
        assert stored.shape[2] in (1, 3)
    if unrestored is None:
        assert restored.planes.dtype == np.uint8
        assert restored.planes.shape[2] == restored.channels + restored.has_alpha
    seconds = time.monotonic() - started
    assert seconds < SLOWEST, f"took {seconds:.1f} s"
    return refused is None


def fuzz(folder, seconds, seed=0, most=None):
    """Try every sound file and mutate them for so long, or so often: (files tried, of which were read).

    Raises AssertionError with the place of the file that broke a promise.
    """
    seeds, rng = make_seeds(), np.random.default_rng(seed)
    end, tried, read = time.monotonic() + seconds, 0, 0
    with hushed() as said:
        while tried < len(seeds) or (time.monotonic() < end and (most is None or tried < most)):
            ending, content = seeds[tried % len(seeds)]
            path = folder / f"mutated{ending}"
            path.write_bytes(content if tried < len(seeds) else mutate(content, seeds, rng))  # each is sound before it is mutated
            try:
                read += examine(path)
                noise = said()
                assert not noise, f"wrote to standard error: {noise}"
            except Exception as error:
                kept = folder / f"found-{seed}-{tried}{ending}"
                path.rename(kept)
                raise AssertionError(f"{kept}: {type(error).__name__}: {error}") from error
            tried += 1
    return tried, read
