"""Stand-in for the ROS 2 package `cv_bridge`, which is compiled and has no wheel: images as OpenCV arrays.

It has the part of the original's public names that squeeze_segnet_ros uses, with the original's results.
Encodings that keep color and brightness in planes of their own (NV12, NV21, NV24) need the original.
"""

import array
import re
import sys
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

__all__ = ["CvBridge", "CvBridgeError"]

# Encoding without its bit depth -> what OpenCV calls the color format, channels. OpenCV names a Bayer pattern
# after the second and third pixel of its second row.
_COLOR_FORMATS = {
    "mono": ("GRAY", 1),
    "rgb": ("RGB", 3),
    "bgr": ("BGR", 3),
    "rgba": ("RGBA", 4),
    "bgra": ("BGRA", 4),
    "bayer_rggb": ("BayerBG", 1),
    "bayer_bggr": ("BayerRG", 1),
    "bayer_gbrg": ("BayerGR", 1),
    "bayer_grbg": ("BayerGB", 1),
}
_YUV_FORMATS = {"yuv422": "UYVY", "yuv422_yuy2": "YUY2"}
_TYPES = {"8U": "u1", "8S": "i1", "16U": "u2", "16S": "i2", "32S": "i4", "32F": "f4", "64F": "f8"}
_NAMES = {np.dtype(dtype): name for name, dtype in _TYPES.items()}


class CvBridgeError(TypeError):
    """An image that cannot be converted, or not into what was asked for."""


class CvBridge:
    """Converts between image messages and NumPy arrays of shape (height, width[, channels])."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        """Return the image as it is ("passthrough" or ""), or converted to the encoding.

        As it is, it shares the message's memory, unless its rows are padded or of the other byte order.
        """
        dtype, channels, _ = _parse(img_msg.encoding)
        order = dtype.newbyteorder(">" if img_msg.is_bigendian else "<")
        row = img_msg.width * channels * dtype.itemsize
        if img_msg.step < row or len(img_msg.data) < img_msg.step * img_msg.height:
            raise CvBridgeError(
                f"[{img_msg.encoding}] {img_msg.width}x{img_msg.height}: step {img_msg.step} and "
                f"{len(img_msg.data)} bytes of data are too little: expected {row} or more and step * height"
            )
        strides = (img_msg.step, channels * dtype.itemsize, dtype.itemsize)
        shape = (img_msg.height, img_msg.width, channels)
        data = bytes(img_msg.data) if isinstance(img_msg.data, list) else img_msg.data
        image = np.ascontiguousarray(np.ndarray(shape, order, data, strides=strides)).astype(
            dtype, copy=False
        )
        image = image[..., 0] if channels == 1 else image
        return (
            image
            if desired_encoding in ("passthrough", "")
            else _convert(image, img_msg.encoding, desired_encoding)
        )

    def cv2_to_imgmsg(
        self, cvim: np.ndarray, encoding: str = "passthrough", header: Header | None = None
    ) -> Image:
        """Return the array as a message; "passthrough" names the encoding after its type, as in 8UC3."""
        if not isinstance(cvim, np.ndarray | np.generic):
            raise TypeError("Your input type is not a numpy array")
        channels = cvim.shape[2] if cvim.ndim == 3 else 1
        actual = f"{_name(cvim.dtype)}C{channels}"
        if encoding == "passthrough":
            encoding = actual
        elif _type_name(encoding) != actual:
            raise CvBridgeError(f"encoding specified as {encoding}, but image has incompatible type {actual}")
        message = Image(height=cvim.shape[0], width=cvim.shape[1], encoding=encoding)
        if header is not None:
            message.header = header
        message.is_bigendian = int(
            cvim.dtype.byteorder == ">" or (cvim.dtype.isnative and sys.byteorder == "big")
        )
        message.data = array.array("B", cvim.tobytes())
        message.step = len(message.data) // message.height
        return message

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> np.ndarray:
        """Return the decoded image: bgr8, bgra8, mono8 or mono16, or converted to the encoding."""
        data = np.frombuffer(bytes(cmprs_img_msg.data), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
        if image is None:
            raise CvBridgeError(
                f"[{cmprs_img_msg.format}] {data.size} bytes are no image that OpenCV can read"
            )
        if desired_encoding == "passthrough":
            return image
        format = {1: "mono", 3: "bgr", 4: "bgra"}[image.shape[2] if image.ndim == 3 else 1]
        return _convert(image, f"{format}{image.itemsize * 8}", desired_encoding)

    def cv2_to_compressed_imgmsg(self, cvim: np.ndarray, dst_format: str = "jpg") -> CompressedImage:
        """Return the array (bgr8, bgra8 or mono) compressed, in a format that OpenCV writes."""
        if not isinstance(cvim, np.ndarray | np.generic):
            raise TypeError("Your input type is not a numpy array")
        try:
            _, data = cv2.imencode(f".{dst_format}", cvim)
        except cv2.error as error:
            raise CvBridgeError(
                f"OpenCV cannot write {cvim.dtype} {cvim.shape} as '{dst_format}': {error}"
            ) from None
        return CompressedImage(format=dst_format, data=array.array("B", data.tobytes()))


def _parse(encoding: str) -> tuple[np.dtype, int, str]:
    """Return a value's type, values per pixel, OpenCV's name of the color format ("" for 8UC3 and such)."""
    if encoding in _YUV_FORMATS:
        return np.dtype("u1"), 2, _YUV_FORMATS[encoding]
    if (match := re.fullmatch(r"(\w+?)(8|16)", encoding)) and match[1] in _COLOR_FORMATS:
        color, channels = _COLOR_FORMATS[match[1]]
        return np.dtype(f"u{int(match[2]) // 8}"), channels, color
    if (match := re.fullmatch(r"(\d+[USF])(?:C(\d+))?", encoding)) and match[1] in _TYPES:
        return np.dtype(_TYPES[match[1]]), int(match[2] or 1), ""
    raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")


def _name(dtype: np.dtype) -> str:
    name = _NAMES.get(dtype.newbyteorder("="))
    if name is None:
        raise CvBridgeError(
            f"no image encoding has values of the type {dtype}; expected {', '.join(map(str, _NAMES))}"
        )
    return name


def _type_name(encoding: str) -> str:
    dtype, channels, _ = _parse(encoding)
    return f"{_name(dtype)}C{channels}"


def _convert(image: np.ndarray, source: str, target: str) -> np.ndarray:
    source_type, source_channels, source_color = _parse(source)
    target_type, target_channels, target_color = _parse(target)
    if source_color and target_color:
        if source_color != target_color:
            image = cv2.cvtColor(image, _conversion_code(source, source_color, target, target_color))
    elif target_color:
        raise CvBridgeError(f"[{source}] is not a color format, but [{target}] is: that makes no sense")
    elif source_channels != target_channels:
        raise CvBridgeError(f"[{source}] and [{target}] are not both color formats and differ in channels")
    return _with_type(image, source_type, target_type)


def _conversion_code(source: str, source_color: str, target: str, target_color: str) -> int:
    name = f"COLOR_{source_color}2{target_color}"
    if source_color in _YUV_FORMATS.values():
        name = f"COLOR_YUV2{target_color}_{source_color}"
    code: Any = getattr(cv2, name, None)
    if code is None or target_color.startswith("Bayer"):
        raise CvBridgeError(f"Unsupported conversion from [{source}] to [{target}]")
    return int(code)


def _with_type(image: np.ndarray, source: np.dtype, target: np.dtype) -> np.ndarray:
    """Return the image with other values: 8 and 16 bit are scaled to each other's range, others clipped."""
    if source == target:
        return image
    scale = {(1, 2): 65535 / 255, (2, 1): 255 / 65535}.get((source.itemsize, target.itemsize), 1.0)
    values = image.astype(np.float64) * scale
    if target.kind in "ui":
        values = np.rint(values).clip(np.iinfo(target).min, np.iinfo(target).max)
    return values.astype(target)
