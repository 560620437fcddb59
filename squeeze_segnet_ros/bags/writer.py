"""Write a bag: an mcap file with its ``metadata.yaml``, as ``ros2 bag`` and Foxglove read it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.typesys import TypesysError

from squeeze_segnet_ros.bags import messages
from squeeze_segnet_ros.errors import BagError, InvalidImageError

_FORMATS = ("raw", "jpeg", "png")
_STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
# Version 8 of the metadata (Jazzy) is the newest that its predecessors read too.
_METADATA_VERSION: Literal[8] = 8


class BagWriter:
    """Writes a new bag folder; a context manager.

    ``storage`` is mcap, in chunks compressed with zstd (which costs nothing where the images are compressed
    already), or sqlite3. When the block ends with an exception, the unfinished folder is removed.

    Raises:
        BagError: ``path`` exists or cannot be written.
    """

    def __init__(self, path: str | Path, *, storage: str = "mcap") -> None:
        self.path = Path(path).expanduser()
        if self.path.exists():
            raise BagError(f"{self.path} exists already: remove it or choose another name for the bag")
        if storage not in _STORAGES:
            raise BagError(f"unknown storage '{storage}': choose one of {', '.join(_STORAGES)}")
        self._writer = Writer(self.path, version=_METADATA_VERSION, storage_plugin=_STORAGES[storage])
        if storage == "mcap":
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        try:
            self._writer.open()
        except (OSError, WriterError) as error:
            raise BagError(f"{self.path} cannot be written: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)
        if kind is not None:
            shutil.rmtree(self.path, ignore_errors=True)

    def write(
        self,
        topic: str,
        type: str,
        timestamp_ns: int,
        data: bytes,
        *,
        latched: bool = False,
        depth: int = 10,
    ) -> None:
        """Write a message that is serialized already (CDR).

        ``latched`` (first message of a topic only) records that the publisher offers transient local
        durability, and ``depth`` how many it kept, so that players offer it again.

        Raises:
            BagError: ``messages.typestore()`` does not define the type.
        """
        if topic not in self._connections:
            try:
                self._connections[topic] = self._writer.add_connection(
                    topic, type, typestore=messages.typestore(), offered_qos_profiles=[_qos(latched, depth)]
                )
            except TypesysError as error:
                raise BagError(f"{topic}: the definition of {type} is not known here") from error
        self._writer.write(self._connections[topic], timestamp_ns, data)

    def write_image(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        image: np.ndarray,
        *,
        format: str = "raw",
        quality: int = 90,
    ) -> None:
        """Write an image at its stamp.

        ``image`` is uint8 (H, W, 3) RGB, or uint8 (H, W) such as a label image. ``format`` is raw
        (sensor_msgs/Image, rgb8 or mono8), jpeg with ``quality`` 1..100, or png, which is lossless (both
        sensor_msgs/CompressedImage).

        Raises:
            InvalidImageError: the array is another.
            BagError: the format is another.
        """
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise InvalidImageError(
                f"an image of {image.dtype} {image.shape} cannot be recorded: needs uint8 (H, W, 3) or (H, W)"
            )
        if format not in _FORMATS:
            raise BagError(f"unknown image format '{format}': choose one of {', '.join(_FORMATS)}")
        header = messages.make_header(stamp_ns, frame_id)
        if format == "raw":
            message = messages.raw_message(image, header)
        else:
            message = messages.compressed_message(image, header, format, quality)
        self.write(topic, message.__msgtype__, stamp_ns, messages.serialize(message))

    def write_camera_info(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        width: int,
        height: int,
        *,
        focal: tuple[float, float] | None = None,
        center: tuple[float, float] | None = None,
    ) -> None:
        """Write the sensor_msgs/CameraInfo of a pinhole camera without distortion.

        ``focal`` (fx, fy) and ``center`` (cx, cy; default the middle of the image) are in pixels. Without
        ``focal`` the camera counts as uncalibrated: its matrices are zero, as the message defines it.
        """
        fx, fy = focal or (0.0, 0.0)
        cx, cy = (center or ((width - 1) / 2, (height - 1) / 2)) if focal else (0.0, 0.0)
        one = 1.0 if focal else 0.0
        region = messages.make(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        message = messages.make(
            messages.CAMERA_INFO,
            header=messages.make_header(stamp_ns, frame_id),
            height=height,
            width=width,
            distortion_model="plumb_bob" if focal else "",
            d=np.zeros(5 if focal else 0),
            k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, one]),
            r=np.eye(3).reshape(-1) * one,
            p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, one, 0]),
            binning_x=0,
            binning_y=0,
            roi=region,
        )
        self.write(topic, messages.CAMERA_INFO, stamp_ns, messages.serialize(message))


def _qos(latched: bool, depth: int) -> Qos:
    forever = QosTime(9223372036, 854775807)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )
