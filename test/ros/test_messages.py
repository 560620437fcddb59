"""Messages to arrays and back: views without a copy, and clear words for what contradicts itself."""

from __future__ import annotations

import os
import struct
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.engine import Segmentation
from squeeze_segnet_ros.errors import InvalidImageError
from squeeze_segnet_ros.images import MAX_PIXELS
from squeeze_segnet_ros.images.decoding import declared_size, decode
from squeeze_segnet_ros.images.encodings import CHANNELS, ENCODINGS
from squeeze_segnet_ros.images.label_images import class_pixels

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("vision_msgs", reason="needs vision_msgs")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from squeeze_segnet_ros.images import overheard
from squeeze_segnet_ros.ros import messages as conversions

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id="camera")


def picture(height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def message(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    height, width = pixels.shape[:2]
    rows = np.zeros((height, pixels.size // height + padding), np.uint8)
    rows[:, : pixels.size // height] = pixels.reshape(height, -1)
    image = Image(header=HEADER, height=height, width=width, encoding=encoding, step=rows.shape[1])
    image.data.frombytes(rows.tobytes())
    return image


@pytest.mark.parametrize("padding", [0, 13])
@pytest.mark.parametrize(("encoding", "channels"), CHANNELS.items())
def test_common_encodings_are_views_of_the_message(encoding: str, channels: int, padding: int) -> None:
    sent = picture(channels=channels)
    source = message(sent, encoding, padding)
    pixels, got, *_ = conversions.pixels_of(source)
    assert got == encoding
    np.testing.assert_array_equal(pixels, sent)
    source.data[0] ^= 255
    assert pixels.flat[0] == sent.flat[0] ^ 255, "a copy was made"


def broken(**changes: object) -> Image:
    image = message(picture(), "rgb8")
    for name, value in changes.items():
        setattr(image, name, value)
    return image


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (broken(step=64), "64x48 rgb8 image has a step of 64 bytes: expected at least 192"),
        (broken(step=200), "9216 bytes of data: expected step * height = 200 * 48 = 9600"),
        (broken(height=47), "expected step * height = 192 * 47 = 9024"),
        (broken(height=0), "the image is 64x0: there are no pixels"),
        (broken(width=2**31, height=2**31), f"expected at most {MAX_PIXELS} pixels"),
        (broken(encoding="rgb9"), "64x48 image with encoding 'rgb9'"),
        (
            broken(encoding="mono16", step=64),
            "64x48 mono16 image has a step of 64 bytes: expected at least 128",
        ),
        (broken(encoding=""), "with encoding ''"),
    ],
)
def test_contradictions_are_refused_with_figures(image: Image, words: str) -> None:
    with pytest.raises(InvalidImageError) as caught:
        conversions.pixels_of(image)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_encodings_go_through_cv_bridge_whose_errors_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bridge:
        def imgmsg_to_cv2(self, image: Image, encoding: str) -> np.ndarray:
            if image.encoding == "rgb8i":
                return np.full((48, 64, 3), 7, np.uint8)
            raise ValueError(f"[{image.encoding}] is not a color format")

    monkeypatch.setitem(sys.modules, "cv_bridge", SimpleNamespace(CvBridge=Bridge))
    assert (conversions.pixels_of(broken(encoding="rgb8i")).array == 7).all()
    with pytest.raises(InvalidImageError, match=r"by cv_bridge: \[16SC1\] is not a color format"):
        conversions.pixels_of(broken(encoding="16SC1"))


class Unusable:
    """A package that fails on import with an error of its own, as one built for another NumPy does."""

    def __getattr__(self, name: str) -> object:
        raise AttributeError("_ARRAY_API not found")


@pytest.mark.parametrize("bridge", [None, Unusable()], ids=["missing", "broken"])
def test_without_cv_bridge_only_what_needs_it_fails(monkeypatch: pytest.MonkeyPatch, bridge: object) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", bridge)
    with pytest.raises(InvalidImageError, match=r"needs cv_bridge.*rgb8, bgr8, rgba8, bgra8, mono8.*nv12"):
        conversions.pixels_of(broken(encoding="8SC3"))
    for name in ENCODINGS:
        # Whatever is wrong with these, it is said without a word about cv_bridge.
        try:
            conversions.pixels_of(broken(encoding=name))
        except InvalidImageError as error:
            assert "cv_bridge" not in str(error)
    with pytest.raises(InvalidImageError, match="16UC1': that is a depth image, not a camera's"):
        conversions.pixels_of(broken(encoding="16UC1"))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed_pictures(suffix: str) -> None:
    sent = cv2.GaussianBlur(picture(), (0, 0), 3)
    image = CompressedImage(header=HEADER)
    image.data.frombytes(cv2.imencode(suffix, sent)[1].tobytes())
    pixels, encoding, *_ = conversions.pixels_of(image)
    assert encoding == "bgr8"
    np.testing.assert_allclose(pixels, sent, atol=0 if suffix == ".png" else 40)


def encoded(suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, picture())[1])


def png_bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


def jpeg_bomb() -> bytes:
    data = bytearray(encoded(".jpg"))
    frame = next(i for i in range(len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2))
    struct.pack_into(">HH", data, frame + 5, 60000, 60000)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "starts with nothing: expected JPEG"),
        (b"GIF89a" + bytes(100), "is a GIF"),
        (png_bomb(), f"PNG declares 60000x60000: expected at most {MAX_PIXELS} pixels"),
        (jpeg_bomb(), f"JPEG declares 60000x60000: expected at most {MAX_PIXELS} pixels"),
        (encoded(".png")[:-40], "cut off"),
        (encoded(".jpg")[:-40], "cut off"),
        (encoded(".png")[:20], "PNG of 20 bytes has no header"),
        (encoded(".jpg")[:30], "JPEG of 30 bytes is cut off or damaged"),
        (b"\xff\xd8\xff" + bytes(50), "JPEG of 53 bytes is cut off or damaged"),
        (encoded(".png")[:60] + bytes(40) + encoded(".png")[100:], "64x48"),
        (
            encoded(".png")[:33] + struct.pack(">I", 2**30) + encoded(".png")[37:],
            "64x48 PNG is cut off or damaged: a chunk declares 1073741824 bytes",
        ),
    ],
)
def test_damaged_and_absurd_pictures_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(InvalidImageError) as caught:
        decode(data)
    assert words in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_what_follows_a_picture_does_not_matter(suffix: str) -> None:
    followed, alone = decode(encoded(suffix) + b"\x7f" * 40), decode(encoded(suffix))
    np.testing.assert_array_equal(followed.array, alone.array)


def test_a_damaged_picture_that_can_be_decoded_says_so_and_prints_nothing(capfd) -> None:
    damaged = bytearray(encoded(".jpg"))
    damaged[-100:-20] = bytes(80)
    sound, broken = decode(encoded(".jpg")), decode(bytes(damaged))
    assert not sound.damage
    assert "Corrupt JPEG data" in broken.damage
    assert broken.array.shape == sound.array.shape
    with pytest.raises(InvalidImageError, match="libpng error"):
        decode(encoded(".png")[:60] + bytes(40) + encoded(".png")[100:])
    assert capfd.readouterr().err == ""


def test_what_others_print_while_a_picture_is_decoded_is_not_lost(capfd) -> None:
    with overheard.picture_libraries() as heard:
        os.write(2, b"libpng warning: iCCP: known incorrect sRGB profile\n[INFO] all is well\n")
        os.write(2, b"half a line")
    assert heard == ["libpng warning: iCCP: known incorrect sRGB profile"]
    assert capfd.readouterr().err == "[INFO] all is well\nhalf a line"


def test_threads_that_decode_at_the_same_time_are_told_of_their_own_pictures(capfd) -> None:
    sound = encoded(".jpg")
    broken = sound[: len(sound) // 2] + b"\xff\x00" * 20 + sound[len(sound) // 2 :]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(decode, [sound, broken] * 40))
    assert not any(each.damage for each in found[::2])
    assert all("JPEG" in each.damage for each in found[1::2])
    assert capfd.readouterr().err == ""


def test_who_listens_alone_waits_for_the_others_and_they_for_it() -> None:
    order: list[str] = []

    def alone() -> None:
        with overheard.picture_libraries(alone=True) as heard:
            order.append("alone")
            os.write(2, b"libpng warning: mine\n")
        order.append(str(heard))

    with overheard.picture_libraries() as heard:
        thread = threading.Thread(target=alone)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "alone", "['libpng warning: mine']"]
    assert not heard


def test_images_may_have_no_more_pixels_than_asked_for() -> None:
    raw, compressed = message(picture(), "rgb8"), CompressedImage()
    compressed.data.frombytes(encoded(".png"))
    for each in (raw, compressed):
        assert conversions.pixels_of(each, 48 * 64).array.shape == (48, 64, 3)
        with pytest.raises(
            InvalidImageError, match=r"64x48: expected at most 3071 pixels \(parameter max_pixels\)"
        ):
            conversions.pixels_of(each, 48 * 64 - 1)


def test_the_size_is_known_without_decoding() -> None:
    assert declared_size(encoded(".png")) == declared_size(encoded(".jpg")) == (64, 48)


@pytest.mark.parametrize(("encoding", "channels"), [("mono8", 1), ("rgb8", 3)])
def test_arrays_become_images(encoding: str, channels: int) -> None:
    pixels = picture(channels=channels)
    image = deserialize_message(conversions.serialized_image(HEADER, pixels, encoding), Image)
    assert (image.header, image.width, image.height, image.encoding) == (HEADER, 64, 48, encoding)
    assert len(image.data) == image.step * image.height
    np.testing.assert_array_equal(conversions.pixels_of(image)[0], pixels)


def test_a_view_that_is_not_contiguous_becomes_an_image() -> None:
    pixels = picture()[::2, ::2]
    image = deserialize_message(conversions.serialized_image(HEADER, pixels, "rgb8"), Image)
    np.testing.assert_array_equal(conversions.pixels_of(image)[0], pixels)


def test_serialized_images_are_what_rclpy_makes_of_them() -> None:
    for frame_id in ("", "a", "cam", "left", "front"):
        header = Header(stamp=HEADER.stamp, frame_id=frame_id)
        image = message(picture(7, 5), "rgb8")
        image.header = header
        ours = conversions.serialized_image(header, picture(7, 5), "rgb8")
        assert len(ours) == len(serialize_message(image)), "what lies between the fields is not set"
        assert deserialize_message(ours, Image) == image


def test_label_pngs_are_lossless() -> None:
    labels = picture(channels=1)
    image = deserialize_message(conversions.serialized_png(HEADER, labels), CompressedImage)
    assert "png" in image.format
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_UNCHANGED), labels
    )


def test_label_info_names_every_class() -> None:
    info = conversions.label_info_message(HEADER.stamp, CAMVID.classes, 0.25)
    assert [(c.class_id, c.class_name) for c in info.class_map] == list(enumerate(CAMVID.names))
    assert info.threshold == 0.25


def test_labels_of_another_size_hold_the_nearest_pixels() -> None:
    labels = np.arange(48 * 63, dtype=np.uint8).reshape(48, 63)
    whole = Segmentation(labels, confidence=labels[::-1].copy())
    # A third, where one pixel is the nearest: of a half's four, OpenCV 4.6 takes another than later ones.
    third = conversions.at_size(whole, (16, 21))
    np.testing.assert_array_equal(third.labels, labels[1::3, 1::3])
    assert third.confidence is not None
    np.testing.assert_array_equal(third.confidence, labels[::-1][1::3, 1::3])


def test_class_pixels() -> None:
    labels = picture(channels=1)
    np.testing.assert_array_equal(class_pixels(labels), np.bincount(labels.ravel(), minlength=256))
