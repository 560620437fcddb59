"""Every encoding of a raw image gives the colors that were put in, whatever the padding, order and size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros.bags import messages
from squeeze_segnet_ros.errors import InvalidImageError
from squeeze_segnet_ros.images.decoding import pixels_of
from squeeze_segnet_ros.images.encodings import CHANNELS, ENCODINGS, to_rgb
from squeeze_segnet_ros.images.sample_bits import SampleBits

SIZES = [(48, 64), (47, 63)]


def smooth(height: int, width: int) -> np.ndarray:
    """Return a color picture without hard edges, uint8 (height, width, 3) RGB."""
    y, x = np.mgrid[:height, :width]
    return np.stack([60 + x * 2, 200 - y * 2, 90 + x + y], -1).astype(np.uint8)


def message(rows: np.ndarray, encoding: str, height: int, width: int, padding: int = 0, big: int = 0) -> Any:
    """Return a sensor_msgs/Image of uint8 rows, each followed by so many bytes of padding."""
    padded = np.full((rows.shape[0], rows.shape[1] + padding), 99, np.uint8)
    padded[:, : rows.shape[1]] = rows
    return messages.make(
        messages.IMAGE,
        header=messages.make_header(0, "cam"),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=big,
        step=padded.shape[1],
        data=padded.reshape(-1),
    )


def as_rows(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)


ORDER = {"rgb": [0, 1, 2], "bgr": [2, 1, 0], "rgba": [0, 1, 2, 0], "bgra": [2, 1, 0, 0]}
BAYER = {"rggb": (0, 1, 1, 2), "bggr": (2, 1, 1, 0), "gbrg": (1, 2, 0, 1), "grbg": (1, 0, 2, 1)}


def mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    out = np.empty(rgb.shape[:2], rgb.dtype)
    for place, channel in enumerate(BAYER[pattern]):
        y, x = divmod(place, 2)
        out[y::2, x::2] = rgb[y::2, x::2, channel]
    return out


def yuv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return brightness and colors (H, W, 2) in the limited range of BT.601, which cameras follow."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    return np.rint(y).astype(np.uint8), np.rint(np.stack([u, v], -1)).astype(np.uint8)


def even(values: np.ndarray) -> np.ndarray:
    return np.pad(values, ((0, len(values) % 2), (0, values.shape[1] % 2), (0, 0)), "edge")


def recorded(rgb: np.ndarray, encoding: str, padding: int) -> Any:
    """Return what a camera with this encoding would send of a picture."""
    height, width = rgb.shape[:2]
    name = encoding.rstrip("0123456789")
    if name in ORDER:
        values = rgb[..., ORDER[name]]
        wide = encoding.endswith("16")
        return message(
            as_rows(values.astype(np.uint16) * 257 if wide else values), encoding, height, width, padding
        )
    if name in ("mono", "8UC"):
        raise AssertionError("not a color")
    if encoding.startswith("bayer"):
        values = mosaic(rgb, encoding[6:10])
        wide = encoding.endswith("16")
        return message(
            as_rows(values.astype(np.uint16) * 257 if wide else values), encoding, height, width, padding
        )
    y, uv = yuv(rgb)
    if encoding == "nv24":
        # V4L2's: rows of colors are twice as long as those of brightness, padding included.
        colors = message(as_rows(uv), encoding, height, width, 2 * padding).data
        rows = message(y, encoding, height, width, padding)
        rows.data = np.concatenate([rows.data, colors])
        return rows
    if encoding.startswith("nv"):
        half = even(uv)[::2, ::2]
        rows = as_rows(half if encoding == "nv12" else half[..., ::-1])
        step = max(width, rows.shape[1])
        full = message(y, encoding, height, width, step - width + padding)
        full.data = np.concatenate(
            [full.data, message(rows, encoding, 1, 1, step - rows.shape[1] + padding).data]
        )
        return full
    pairs = even(uv)[:height, ::2].repeat(2, 1)[:, :width]
    alternating = np.where(np.arange(width) % 2 == 0, pairs[..., 0], pairs[..., 1])
    order = [alternating, y] if encoding in ("yuv422", "uyvy") else [y, alternating]
    return message(as_rows(np.stack(order, -1)), encoding, height, width, padding)


COLORS = [name for name in ENCODINGS if not name.startswith(("mono", "8UC", "16UC"))]


@pytest.mark.parametrize("padding", [0, 6, 13])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encoding", COLORS)
def test_colors_come_out_as_they_went_in(encoding: str, size: tuple[int, int], padding: int) -> None:
    sent = smooth(*size)
    pixels = pixels_of(recorded(sent, encoding, padding))
    assert pixels.encoding in CHANNELS
    rgb = to_rgb(pixels)
    assert rgb.dtype == np.uint8
    exact = encoding.startswith(("rgb", "bgr"))
    # Demosaicing and shared colors are exact only inside of a smooth picture.
    inside = slice(None) if exact else slice(3, -3)
    np.testing.assert_allclose(rgb[inside, inside].astype(int), sent[inside, inside], atol=0 if exact else 5)
    assert rgb.shape == sent.shape


OPENCV_NAMES = [
    ("8UC1", "mono8"),
    ("8UC3", "bgr8"),
    ("8UC4", "bgra8"),
    ("16UC3", "bgr16"),
    ("16UC4", "bgra16"),
]


@pytest.mark.parametrize(("encoding", "same"), OPENCV_NAMES)
def test_opencv_names_are_opencv_colors_and_said_to_be_ambiguous(encoding: str, same: str) -> None:
    kind = np.uint16 if same.endswith("16") else np.uint8
    as_bytes = same.replace("16", "8")
    values = np.random.default_rng(0).integers(0, 256, (48, 64, CHANNELS[as_bytes]), kind)
    pixels = pixels_of(message(as_rows(values), encoding, 48, 64))
    expected = pixels_of(message(as_rows(values), same, 48, 64))
    assert pixels.encoding == expected.encoding == as_bytes
    np.testing.assert_array_equal(pixels.array, expected.array)
    words = f"does not name its colors: taken as {as_bytes}"
    assert f"{encoding} {words}" in pixels.note
    assert words not in expected.note


@pytest.mark.parametrize("big", [0, 1])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize(
    "encoding", ["mono16", "rgb16", "bgr16", "rgba16", "bgra16", "bayer_rggb16", "16UC3"]
)
def test_sixteen_bits_are_scaled_by_those_in_use(encoding: str, bits: int, big: int) -> None:
    channels = {"mono16": 1, "bayer_rggb16": 1, "rgba16": 4, "bgra16": 4}.get(encoding, 3)
    values = np.full((48, 64, channels), 1 << bits - 1, np.uint16)
    values[0, 0] = (1 << bits) - 1
    pixels = pixels_of(message(as_rows(values.astype(">u2" if big else "<u2")), encoding, 48, 64, 6, big))
    assert pixels.array.dtype == np.uint8
    assert (pixels.array[4:, 4:] == 128).all()
    assert encoding in pixels.note and f"has values of {bits} bits: scaled to 8" in pixels.note


def test_the_bits_in_use_are_learned_from_the_stream_and_never_unlearned() -> None:
    bits = SampleBits()

    def shown(value: int) -> int:
        return int(
            pixels_of(message(as_rows(np.full((48, 64), value, "<u2")), "mono16", 48, 64), bits=bits).array[
                0, 0
            ]
        )

    assert [shown(v) for v in (512, 2048, 512, 4095, 0)] == [128, 128, 32, 255, 0]


def compressed(values: np.ndarray, format: str, suffix: str = ".png") -> Any:
    """Return what image_transport makes of the values of an image."""
    data = cv2.imencode(suffix, values)[1].reshape(-1)
    return messages.make(
        messages.COMPRESSED_IMAGE, header=messages.make_header(0, "cam"), format=format, data=data
    )


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name.startswith("bayer")])
def test_a_mosaic_that_was_compressed_as_it_was_has_its_colors(encoding: str) -> None:
    values = mosaic(smooth(48, 64), encoding[6:10])
    values = values.astype(np.uint16) * 257 if encoding.endswith("16") else values
    sent = compressed(values, f"{encoding}; png compressed ")
    expected = to_rgb(pixels_of(message(as_rows(values), encoding, 48, 64)))
    np.testing.assert_array_equal(to_rgb(pixels_of(sent)), expected)
    recorded = messages.serialize(sent)
    np.testing.assert_array_equal(messages.decode_image(recorded, messages.COMPRESSED_IMAGE), expected)
    # The player's --decompress gives what there was before.
    raw = messages.image_message(messages.decompress(recorded), messages.IMAGE)
    assert raw.encoding == encoding
    np.testing.assert_array_equal(raw.data, as_rows(values).reshape(-1))


@pytest.mark.parametrize("format", ["bayer_rggb8; jpeg compressed mono8", "mono8; png compressed ", "png"])
def test_gray_that_is_no_mosaic_stays_gray(format: str) -> None:
    gray = smooth(48, 64)[..., 0]
    np.testing.assert_array_equal(to_rgb(pixels_of(compressed(gray, format)))[..., 1], gray)


def test_a_mosaic_that_somebody_has_seen_to_is_taken_as_it_is() -> None:
    color = smooth(48, 64)
    sent = compressed(color[..., ::-1], "bayer_rggb8; png compressed bgr8")
    np.testing.assert_array_equal(to_rgb(pixels_of(sent)), color)


@pytest.mark.parametrize("format", ["16UC1; png compressed ", "16UC1; compressedDepth png"])
def test_compressed_depth_is_no_camera(format: str) -> None:
    sent = compressed(np.full((48, 64), 1500, np.uint16), format)
    with pytest.raises(InvalidImageError, match=f"'{format}': that is a depth image, not a camera's"):
        pixels_of(sent)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_is_no_camera(encoding: str) -> None:
    depth = message(np.zeros((48, 256), np.uint8), encoding, 48, 64)
    with pytest.raises(InvalidImageError, match=f"'{encoding}': that is a depth image, not a camera's"):
        pixels_of(depth)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_refuses_data_that_does_not_fit_with_figures(encoding: str) -> None:
    short = message(np.zeros((10, 640), np.uint8), encoding, 48, 64)
    with pytest.raises(InvalidImageError, match=r"64x48 .* has 6400 bytes of data: expected step \* "):
        pixels_of(short)
    narrow = message(np.zeros((48, 10), np.uint8), encoding, 48, 64)
    with pytest.raises(InvalidImageError, match="step of 10 bytes: expected at least"):
        pixels_of(narrow)


def test_a_plane_of_colors_needs_room_for_the_last_pair() -> None:
    # Odd in width, and the rows end with the brightness.
    with pytest.raises(InvalidImageError, match="step of 63 bytes: its colors need at least 64"):
        pixels_of(message(np.zeros((47 + 24, 63), np.uint8), "nv12", 47, 63))


def test_unknown_encodings_are_named_as_python_writes_them() -> None:
    with pytest.raises(InvalidImageError, match=r"'\\x1b\[31mrgb9': expected one of rgb8, bgr8"):
        pixels_of(message(np.zeros((48, 64), np.uint8), "\x1b[31mrgb9", 48, 64))


@pytest.mark.parametrize(
    ("encoding", "code"), [("nv12", cv2.COLOR_YUV2RGB_NV12), ("nv21", cv2.COLOR_YUV2RGB_NV21)]
)
def test_planes_without_padding_are_opencv_s_own(encoding: str, code: int) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (72, 64), np.uint8)
    np.testing.assert_array_equal(pixels_of(message(rows, encoding, 48, 64)).array, cv2.cvtColor(rows, code))
