"""Images from files, from memory and from worker processes: the same ones."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros.data import cache
from squeeze_segnet_ros.data.cache import Cache
from squeeze_segnet_ros.data.crops import Crop, cut
from squeeze_segnet_ros.data.dataset import Labelled, open_dataset
from squeeze_segnet_ros.data.loading import Loader, checked, sources_of
from squeeze_segnet_ros.errors import ConfigError, InvalidImageError

SIZES = ((32, 40), (48, 32), (36, 36))


@pytest.fixture
def data(tmp_path):
    """Make a data set of three images of three sizes, in CamVid's layout."""
    generator = np.random.default_rng(0)
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
    for i, size in enumerate(SIZES):
        cv2.imwrite(str(tmp_path / "train" / f"{i}.png"), generator.integers(0, 256, (*size, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "trainannot" / f"{i}.png"), generator.integers(0, 12, size, np.uint8))
    return open_dataset(tmp_path)


@pytest.mark.parametrize(("workers", "room"), [(0, 0), (0, 4 * 32 * 40), (0, 2**20), (2, 4 * 32 * 40)])
def test_images_are_the_same_wherever_they_come_from(data, workers, room):
    sources = sources_of(data, ["train"])
    expected = [data.read(pair) for pair in data.pairs("train")]
    with Loader(sources, room, workers) as loader:
        images = checked(loader, range(3), "train")
        assert images.sizes.tolist() == [list(size) for size in SIZES]
        held = [place for place in range(3) if loader.cache.get(place)]
        assert len(held) == {0: 0, 2**20: 3}.get(room, len(held)) and loader.cache.used_bytes <= room
        for i, (found, wanted) in enumerate(zip(images, expected, strict=True)):
            np.testing.assert_array_equal(found.image, wanted.image)
            np.testing.assert_array_equal(found.labels, wanted.labels)
            np.testing.assert_array_equal(images.pixels[i], np.bincount(wanted.labels.ravel(), minlength=256))
        crop = Crop((16, 16), 1.0, 0.1, -1.0, (0.2, 0.9), 3, 0.5)
        part = loader.submit(cut, 1, crop).result()
        for got, wanted in zip(part, cut(expected[1], crop), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_a_broken_file_is_named_whoever_reads_it(tmp_path, data):
    path = tmp_path / "train" / "1.png"
    path.write_bytes(path.read_bytes()[:200])
    with (
        Loader(sources_of(data, ["train"]), 0, 1) as loader,
        pytest.raises(InvalidImageError, match=r"1\.png"),
    ):
        checked(loader, range(3), "train")


def test_a_cache_holds_what_fits_and_no_more():
    image, labels = np.ones((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8)
    held = Cache(100, 3)
    assert held.get(0) is None
    assert held.put(0, Labelled(image, labels))
    assert not held.put(1, Labelled(image, labels))
    np.testing.assert_array_equal(held.get(0).image, image)
    assert held.get(1) is None


def test_sizes_are_read_as_people_write_them():
    assert [cache.size_in_bytes(text) for text in ("8GB", "1.5 mb", "0", "700")] == [
        8 * 10**9,
        1_500_000,
        0,
        700,
    ]
    assert 0 < cache.size_in_bytes("auto") < cache.free_memory()
    for text in ("", "GB", "8XB", "-", "nan"):
        with pytest.raises(ConfigError, match="give a size like 8GB"):
            cache.size_in_bytes(text)
    assert cache.shown(8_100_000_000) == "8.1 GB"


def test_a_cache_that_there_is_no_memory_for_is_refused():
    with pytest.raises(ConfigError, match=r"--cache 1e\+03 TB: .* of memory are free; give less"):
        Cache(10**15, 1)


def test_what_a_worker_imports_does_without_pytorch():
    code = "import sys, squeeze_segnet_ros.data.loading as _, squeeze_segnet_ros.data.crops as _; "
    code += "print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
