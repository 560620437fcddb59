"""cv_bridge, the stand-in or the original: images by hand, and OpenCV's own conversions as the reference."""

import cv2
import numpy as np
import pytest

pytest.importorskip("cv_bridge", reason="cv_bridge is not installed: run `make setup`")
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

BRIDGE = CvBridge()
RNG = np.random.default_rng(5)


def image_message(encoding: str, pixels: np.ndarray, padding: int = 0, big_endian: bool = False) -> Image:
    """Return a message written by hand: rows of bytes, each followed by `padding` bytes."""
    rows = [row.tobytes() + b"\xee" * padding for row in pixels]
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=len(rows[0]))
    message.is_bigendian = int(big_endian)
    message.data = b"".join(rows)
    return message


def random_pixels(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


@pytest.mark.parametrize(
    ("encoding", "shape", "dtype"),
    [
        ("rgb8", (4, 6, 3), np.uint8),
        ("bgra8", (4, 6, 4), np.uint8),
        ("mono8", (4, 6), np.uint8),
        ("mono16", (4, 6), np.uint16),
        ("16UC1", (4, 6), np.uint16),
        ("8UC3", (4, 6, 3), np.uint8),
        ("bayer_rggb8", (4, 6), np.uint8),
        ("yuv422", (4, 6, 2), np.uint8),
    ],
)
@pytest.mark.parametrize("padding", [0, 12])
def test_passthrough_keeps_the_pixels(encoding, shape, dtype, padding):
    pixels = random_pixels(*shape, dtype=dtype)
    result = BRIDGE.imgmsg_to_cv2(image_message(encoding, pixels, padding))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize("padding", [0, 6])
def test_passthrough_shares_the_memory_of_rows_that_are_not_padded(padding):
    message = image_message("rgb8", random_pixels(2, 2, 3), padding)
    before = bytes(message.data)
    BRIDGE.imgmsg_to_cv2(message)[:] += 1
    assert (bytes(message.data) == before) == bool(padding)


def test_an_empty_encoding_is_the_images_own():
    pixels = random_pixels(2, 2, 3)
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(image_message("rgb8", pixels), ""), pixels)


@pytest.mark.parametrize("encoding", ["yuyv", "uyvy", "nv12"])
def test_encodings_that_it_does_not_know(encoding):
    with pytest.raises(CvBridgeError, match="Unrecognized image encoding"):
        BRIDGE.imgmsg_to_cv2(image_message(encoding, random_pixels(2, 2, 2)), "rgb8")


def test_big_endian_pixels():
    pixels = np.array([[1, 2], [256, 65535]], np.uint16)
    message = image_message("mono16", pixels.astype(">u2"), big_endian=True)
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), pixels)


@pytest.mark.parametrize(
    ("source", "target", "channels"),
    [
        ("rgb8", "bgr8", [2, 1, 0]),
        ("bgr8", "rgb8", [2, 1, 0]),
        ("rgba8", "rgb8", [0, 1, 2]),
        ("bgra8", "rgb8", [2, 1, 0]),
        ("rgba8", "bgra8", [2, 1, 0, 3]),
        ("rgb16", "bgr16", [2, 1, 0]),
    ],
)
def test_color_order(source, target, channels):
    dtype = np.uint16 if source.endswith("16") else np.uint8
    pixels = random_pixels(3, 5, 4 if "a" in source else 3, dtype=dtype)
    result = BRIDGE.imgmsg_to_cv2(image_message(source, pixels), target)
    np.testing.assert_array_equal(result, pixels[..., channels])


@pytest.mark.parametrize("target", ["rgba8", "bgra8"])
def test_alpha_is_added_opaque(target):
    pixels = random_pixels(3, 5, 3)
    result = BRIDGE.imgmsg_to_cv2(image_message(target.replace("a", ""), pixels), target)
    np.testing.assert_array_equal(result, np.dstack([pixels, np.full((3, 5), 255, np.uint8)]))


def test_mono_becomes_gray():
    pixels = random_pixels(3, 5)
    result = BRIDGE.imgmsg_to_cv2(image_message("mono8", pixels), "rgb8")
    np.testing.assert_array_equal(result, np.dstack([pixels] * 3))


def test_sixteen_bits_are_scaled_to_eight():
    pixels = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    result = BRIDGE.imgmsg_to_cv2(image_message("mono16", pixels), "mono8")
    np.testing.assert_array_equal(result, [[0, 0, 1, 1, 128, 255]])  # value * 255 / 65535, rounded


def test_eight_bits_are_scaled_to_sixteen():
    pixels = np.array([[0, 1, 255]], np.uint8)
    result = BRIDGE.imgmsg_to_cv2(image_message("mono8", pixels), "mono16")
    np.testing.assert_array_equal(result, [[0, 257, 65535]])


@pytest.mark.parametrize(
    ("pattern", "first_row", "second_row"),
    [("rggb", "rg", "gb"), ("bggr", "bg", "gr"), ("gbrg", "gb", "rg"), ("grbg", "gr", "bg")],
)
def test_bayer_patterns(pattern, first_row, second_row):
    color = {"r": 200, "g": 100, "b": 50}
    tile = np.array([[color[c] for c in first_row], [color[c] for c in second_row]], np.uint8)
    result = BRIDGE.imgmsg_to_cv2(image_message(f"bayer_{pattern}8", np.tile(tile, (4, 4))), "rgb8")
    np.testing.assert_array_equal(result, np.full((8, 8, 3), (200, 100, 50), np.uint8))


@pytest.mark.parametrize(
    ("encoding", "code"),
    [("yuv422", cv2.COLOR_YUV2RGB_UYVY), ("yuv422_yuy2", cv2.COLOR_YUV2RGB_YUY2)],
)
def test_yuv(encoding, code):
    pixels = random_pixels(4, 6, 2)
    result = BRIDGE.imgmsg_to_cv2(image_message(encoding, pixels), "rgb8")
    np.testing.assert_array_equal(result, cv2.cvtColor(pixels, code))


@pytest.mark.parametrize("target", ["jpeg8", "rgb"])
def test_unknown_encodings(target):
    message = image_message("rgb8", random_pixels(2, 2, 3))
    with pytest.raises(CvBridgeError):
        BRIDGE.imgmsg_to_cv2(message, target)


@pytest.mark.parametrize(("source", "target"), [("8UC2", "rgb8"), ("8UC3", "rgb8"), ("rgb8", "bayer_rggb8")])
def test_conversions_that_make_no_sense(source, target):
    message = image_message(source, random_pixels(2, 2, 2 if source == "8UC2" else 3))
    with pytest.raises(CvBridgeError, match=r"8UC2|rgb8"):
        BRIDGE.imgmsg_to_cv2(message, target)


def test_too_little_data():
    message = image_message("rgb8", random_pixels(4, 4, 3))
    message.data = message.data[:-1]
    with pytest.raises(TypeError):  # the original lets NumPy's own through; CvBridgeError is a TypeError too
        BRIDGE.imgmsg_to_cv2(message)


def test_array_to_message_and_back():
    pixels = random_pixels(4, 6, 3)
    header = Header(frame_id="camera")
    message = BRIDGE.cv2_to_imgmsg(pixels[:, ::-1], "rgb8", header)
    assert (message.height, message.width, message.step, message.encoding) == (4, 6, 18, "rgb8")
    assert message.header == header
    assert len(message.data) == message.step * message.height
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), pixels[:, ::-1])


def test_passthrough_names_the_type():
    assert BRIDGE.cv2_to_imgmsg(np.zeros((2, 3, 4), np.uint8)).encoding == "8UC4"
    assert BRIDGE.cv2_to_imgmsg(np.zeros((2, 3), np.float32)).encoding == "32FC1"


def test_array_of_another_type_than_said():
    with pytest.raises(CvBridgeError, match=r"rgb8.*8UC1"):
        BRIDGE.cv2_to_imgmsg(np.zeros((2, 3), np.uint8), "rgb8")


def test_lossless_compression():
    pixels = random_pixels(8, 6, 3)
    message = BRIDGE.cv2_to_compressed_imgmsg(pixels, "png")
    assert message.format == "png"
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message), pixels)
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message, "rgb8"), pixels[..., ::-1])


def test_compressed_labels_stay_one_channel():
    labels = random_pixels(8, 6)
    message = BRIDGE.cv2_to_compressed_imgmsg(labels, "png")
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message), labels)


def test_broken_compressed_image():
    with pytest.raises((CvBridgeError, cv2.error, AttributeError)):
        BRIDGE.compressed_imgmsg_to_cv2(CompressedImage(format="png", data=b"no image"), "rgb8")
