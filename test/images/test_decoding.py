"""Pictures in files, bags and messages go through one decoder, which judges them before it decodes."""

from __future__ import annotations

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros import __main__ as command_line
from squeeze_segnet_ros.bags import BagWriter, messages
from squeeze_segnet_ros.errors import InvalidImageError
from squeeze_segnet_ros.images import MAX_PIXELS
from squeeze_segnet_ros.images.decoding import decode, decode_unchanged, read_image, read_unchanged
from squeeze_segnet_ros.images.sample_bits import SampleBits

COLOR = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def png_bomb(side: int = 30_000) -> bytes:
    """Return a small PNG that is whole and would fill gigabytes: one row over and over."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(side + 1) * 64))
        + chunk(b"IEND", b"")
    )


def huge(kind: str) -> bytes:
    if kind == "png":
        return png_bomb()
    data = bytearray(cv2.imencode(f".{kind}", COLOR)[1].tobytes())
    if kind == "bmp":
        struct.pack_into("<ii", data, 18, 30_000, -30_000)
    elif kind == "webp":
        data[12:30] = (
            b"VP8X"
            + struct.pack("<II", 10, 0)
            + struct.pack("<I", 16_000)[:3]
            + struct.pack("<I", 16_000)[:3]
        )
    else:
        frame = next(i for i in range(len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2))
        struct.pack_into(">HH", data, frame + 5, 30_000, 30_000)
    return bytes(data)


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "bmp"])
def test_absurd_sizes_are_refused_wherever_they_come_from(tmp_path: Path, kind: str) -> None:
    data = huge(kind)
    words = f"expected at most {MAX_PIXELS} pixels"
    path = tmp_path / f"a b.{kind}"
    path.write_bytes(data)
    header = messages.make_header(0, "cam")
    message = messages.make(
        messages.COMPRESSED_IMAGE, header=header, format=kind, data=np.frombuffer(data, np.uint8)
    )
    recorded = messages.serialize(message)
    for use in (
        lambda: decode(data),
        lambda: decode_unchanged(data),
        lambda: read_image(path),
        lambda: read_unchanged(path),
        lambda: messages.decode_image(recorded, messages.COMPRESSED_IMAGE),
        lambda: messages.decompress(recorded),
    ):
        with pytest.raises(InvalidImageError, match=words):
            use()


def test_bag_info_says_of_a_bomb_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bomb = messages.make(
        messages.COMPRESSED_IMAGE,
        header=messages.make_header(10**9, "cam"),
        format="png",
        data=np.frombuffer(png_bomb(), np.uint8),
    )
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/cam/compressed", messages.COMPRESSED_IMAGE, 10**9, messages.serialize(bomb))
    assert command_line.main(["bag", "info", str(tmp_path / "bag")]) == 0
    assert "PNG declares 30000x30000: expected at most" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "bmp"])
def test_files_are_read_as_rgb(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"my photo.{kind}"
    smooth = cv2.GaussianBlur(COLOR, (0, 0), 5)
    path.write_bytes(cv2.imencode(f".{kind}", smooth[..., ::-1])[1].tobytes())
    np.testing.assert_allclose(read_image(path).astype(int), smooth, atol=0 if kind in ("png", "bmp") else 16)


def test_gray_alpha_and_sixteen_bits_become_rgb(tmp_path: Path) -> None:
    gray, alpha = COLOR[..., 0], np.dstack([COLOR[..., ::-1], COLOR[..., 0]])
    deep = COLOR[..., ::-1].astype(np.uint16) * 257
    for name, stored, expected in (
        ("gray", gray, np.dstack([gray] * 3)),
        ("alpha", alpha, COLOR),
        ("deep", deep, COLOR),
        ("deep gray", gray.astype(np.uint16) * 257, np.dstack([gray] * 3)),
    ):
        path = tmp_path / f"{name}.png"
        path.write_bytes(cv2.imencode(".png", stored)[1].tobytes())
        np.testing.assert_array_equal(read_image(path), expected, err_msg=name)


def test_files_of_values_are_not_touched(tmp_path: Path) -> None:
    labels = COLOR[..., 0].astype(np.uint16) * 200
    path = tmp_path / "labels.png"
    path.write_bytes(cv2.imencode(".png", labels)[1].tobytes())
    np.testing.assert_array_equal(read_unchanged(path), labels)


def turned(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an EXIF orientation, 1 to 8."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def test_a_photo_is_turned_upright_and_a_camera_s_picture_is_not(tmp_path: Path) -> None:
    wide = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    path = tmp_path / "photo.jpg"
    path.write_bytes(turned(wide, 6))
    assert read_image(path).shape == (64, 48, 3)
    assert decode(turned(wide, 6)).array.shape == (48, 64, 3)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_png_of_sixteen_bits_is_scaled_by_those_in_use(bits: int) -> None:
    values = np.full((48, 64, 3), 1 << bits - 1, np.uint16)
    learned = SampleBits()
    learned.to_8_bits(np.array([[(1 << bits) - 1]], np.uint16))
    pixels = decode(cv2.imencode(".png", values)[1].tobytes(), bits=learned)
    assert (pixels.encoding, pixels.array.dtype) == ("bgr8", np.uint8)
    assert (pixels.array == 128).all()
    assert f"values of {bits} bits" in pixels.note


@pytest.mark.parametrize(("channels", "encoding"), [(3, "rgb16"), (1, "mono16")])
def test_decompressing_sixteen_bits_keeps_them(channels: int, encoding: str) -> None:
    values = np.random.default_rng(2).integers(0, 4096, (48, 64, channels), np.uint16)
    stored = values[..., ::-1] if channels == 3 else values[..., 0]
    message = messages.make(
        messages.COMPRESSED_IMAGE,
        header=messages.make_header(7, "cam"),
        format="png",
        data=cv2.imencode(".png", stored)[1].reshape(-1),
    )
    raw = messages.image_message(messages.decompress(messages.serialize(message)), messages.IMAGE)
    assert (raw.encoding, raw.step, len(raw.data)) == (encoding, 64 * channels * 2, 48 * 64 * channels * 2)
    np.testing.assert_array_equal(raw.data.view("<u2").reshape(48, 64, channels), values)


def test_threads_know_whose_picture_is_damaged_and_nothing_else_is_lost(capfd: Any) -> None:
    sound = cv2.imencode(".jpg", cv2.resize(COLOR, (640, 480)))[1].tobytes()
    damaged = sound[:-400] + bytes(300) + sound[-100:]

    def look(number: int) -> bool:
        if number % 10 == 0:
            os.write(2, f"line {number}\n".encode())
        return bool(decode(damaged if number % 3 == 0 else sound).damage)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(look, range(120)))
    assert found == [number % 3 == 0 for number in range(120)]
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines) == sorted(f"line {number}" for number in range(0, 120, 10))


@pytest.mark.parametrize("name", ["nothing.png", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidImageError) as caught:
        read_image(tmp_path / name)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_message_get_one_line() -> None:
    for data in (b"", b"\0\1\0\0", b"\0\1\0\0" + b"\xff" * 40):
        for kind in messages.IMAGE_TYPES:
            with pytest.raises(InvalidImageError, match=f"bytes that are no {kind}"):
                messages.decode_image(data, kind)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (cv2.imencode(".tiff", COLOR)[1].tobytes(), "is TIFF"),
        (b"\0\0\0\x1cftypavif", "is AVIF or HEIF"),
        (b"GIF89a", "is a GIF"),
        (b"\0\0\0\x01\x67", r"is a piece of a film \(H.264 or H.265\)"),
        (b"\0" * 12 + cv2.imencode(".png", COLOR)[1].tobytes(), "is depth with a header"),
        (b"hello", "starts with 68 65 6c 6c"),
        (b"", "starts with nothing"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, found: str) -> None:
    with pytest.raises(InvalidImageError, match=f"the picture {found}: expected JPEG|the picture {found} "):
        decode(data)
