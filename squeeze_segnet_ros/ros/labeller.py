"""The way of a frame: taken from the queue, decoded, segmented, published; off the executor's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CompressedImage, Image

from squeeze_segnet_ros.classes import UNLABELLED, LabelClass
from squeeze_segnet_ros.engine import Segmentation, Segmenter, load
from squeeze_segnet_ros.engine.segmenter import MIN_SIZE
from squeeze_segnet_ros.errors import ConfigError, DeviceLostError, InvalidImageError
from squeeze_segnet_ros.memory import release_freed_memory, separate_blocks
from squeeze_segnet_ros.msg import SegmentationStats
from squeeze_segnet_ros.ros import messages as conversions
from squeeze_segnet_ros.ros.camera import Camera, Wanted
from squeeze_segnet_ros.ros.camera_record import CameraRecord
from squeeze_segnet_ros.ros.complaints import Complaints
from squeeze_segnet_ros.ros.config import ALL_CLASSES, NodeConfig
from squeeze_segnet_ros.ros.frame_queue import Fate, FrameQueue
from squeeze_segnet_ros.ros.health import Finding

MAX_BATCH = 8
"""Frames of different cameras that go through the network together."""


class Frame(NamedTuple):
    """A message that waits; ``arrived`` is time.perf_counter()."""

    message: Image | CompressedImage
    arrived: float


@dataclass
class _Job:
    """A frame on its way; ``seconds`` are the times of its stages so far."""

    camera: int
    message: Image | CompressedImage
    wanted: Wanted
    pixels: np.ndarray
    encoding: str
    findings: tuple[Finding, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    settled: bool = False


class Labeller:
    """Takes frames from the queue until it is closed and empty.

    ``on_device_lost`` is called from its thread, with the reason, when the GPU has failed for good.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        records: Sequence[CameraRecord],
        queue: FrameQueue[Frame],
        clock: Clock,
        log: RcutilsLogger,
        segmenter: Segmenter,
        config: NodeConfig,
        on_device_lost: Callable[[str], None],
    ) -> None:
        self._tools = (segmenter, config)
        self._on_device_lost = on_device_lost
        self._cameras = cameras
        self._records = records
        self._queue = queue
        self._clock = clock
        self._announced: tuple[Segmenter, float] | None = None
        self._thread: threading.Thread | None = None
        self._log = log
        self._complaints = Complaints(log.warning)

    def use(self, segmenter: Segmenter, config: NodeConfig) -> None:
        """Work with these from the next batch on. May be called from any thread."""
        self._tools = (segmenter, config)

    def start(self, thread_name: str) -> None:
        """Begin to work, in a thread of this name."""
        self._announced = None
        self._announce(*self._tools)
        # A network pass cannot be interrupted; a process that has to end does not wait for it.
        self._thread = threading.Thread(target=self._work, name=thread_name, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the end of the work, after the queue was closed; False when it takes longer."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _work(self) -> None:
        while batch := self._queue.take(MAX_BATCH):
            self._label(batch)

    def _label(self, batch: list[tuple[int, Frame]]) -> None:
        """Take a batch its way."""
        segmenter, config = self._tools
        self._announce(segmenter, config)
        jobs = [job for camera, frame in batch if (job := self._prepared(camera, frame, config))]
        # Cameras whose listeners want the same go through together; nobody pays for another's overlay.
        for kind in {(job.wanted.confidence, job.wanted.overlay) for job in jobs}:
            group = [job for job in jobs if (job.wanted.confidence, job.wanted.overlay) == kind]
            try:
                results = self._segment(group, segmenter, config)
                # The labels of all cameras first, since others wait for them.
                for job, result in zip(group, results, strict=True):
                    self._publish_label(job, result)
                for job, result in zip(group, results, strict=True):
                    self._publish_rest(job, result, segmenter, len(group))
            # Out of memory, say: the frame is gone, the node is not.
            except Exception as error:
                self._complaints.tell("segmenting failed", error)
                if isinstance(error, DeviceLostError):
                    self._on_device_lost(str(error))
                for job in group:
                    if not job.settled:
                        self._queue.settle(job.camera, Fate.FAILED)

    def _prepared(self, camera: int, frame: Frame, config: NodeConfig) -> _Job | None:
        """Return a frame that is worth the network; None when it was settled otherwise."""
        wanted = self._cameras[camera].wanted()
        stamp, now = conversions.stamp_ns(frame.message.header), self._clock.now().nanoseconds
        fate = None
        try:
            if not wanted.network:
                fate = Fate.UNWATCHED
                self._relay_camera_info(camera, wanted, frame.message)
            elif config.max_age and now - stamp > config.max_age * 1e9:
                fate = Fate.TOO_OLD
            else:
                return self._decode(camera, frame, wanted, config.max_pixels, stamp, now)
        except InvalidImageError as error:
            fate = Fate.INVALID
            self._complaints.tell(f"{self._cameras[camera].input_topic}: dropped a frame", error)
        except Exception as error:
            fate = Fate.FAILED
            self._complaints.tell(f"{self._cameras[camera].input_topic}: failed on a frame", error)
        self._queue.settle(camera, fate)
        return None

    def _decode(
        self, camera: int, frame: Frame, wanted: Wanted, max_pixels: int, stamp: int, now: int
    ) -> _Job:
        started = time.perf_counter()
        record = self._records[camera]
        pixels, encoding, damage, note = conversions.pixels_of(frame.message, max_pixels, record.bits)
        if min(pixels.shape[:2]) < MIN_SIZE:
            raise InvalidImageError(
                f"the image is {pixels.shape[1]}x{pixels.shape[0]}: at least {MIN_SIZE}x{MIN_SIZE} is needed"
            )
        decoded = time.perf_counter()
        if note and record.is_news(note):
            self._log.warning(f"{self._cameras[camera].input_topic}: {note}")
        findings = record.health.check(pixels, stamp, now, damage)
        record.note(findings)
        seconds = {"waiting": started - frame.arrived, "decode": decoded - started}
        return _Job(camera, frame.message, wanted, pixels, encoding, findings, seconds)

    def _segment(self, jobs: list[_Job], segmenter: Segmenter, config: NodeConfig) -> list[Segmentation]:
        return segmenter.segment(
            [job.pixels for job in jobs],
            encodings=[job.encoding for job in jobs],
            confidence=jobs[0].wanted.confidence,
            overlay=jobs[0].wanted.overlay,
            overlay_alpha=config.overlay.alpha,
            min_confidence=config.min_confidence,
            shown_classes=ids_of(config.shown_classes, segmenter.classes),
        )

    def _publish_label(self, job: _Job, result: Segmentation) -> None:
        started = time.perf_counter()
        header = job.message.header
        if job.wanted.label:
            label = conversions.image_message(header, result.labels, "mono8")
            self._cameras[job.camera].publishers["label"].publish(label)
        latency = (self._clock.now().nanoseconds - conversions.stamp_ns(header)) / 1e9
        job.seconds |= result.seconds | {"publish": time.perf_counter() - started, "end_to_end": latency}

    def _publish_rest(self, job: _Job, result: Segmentation, segmenter: Segmenter, batch_size: int) -> None:
        """Publish each output only if somebody listens."""
        started = time.perf_counter()
        publishers, header, wanted = self._cameras[job.camera].publishers, job.message.header, job.wanted
        self._relay_camera_info(job.camera, wanted, job.message, result.labels.shape)
        if result.confidence is not None:
            publishers["confidence"].publish(conversions.image_message(header, result.confidence, "mono8"))
        if result.overlay is not None:
            publishers["overlay"].publish(conversions.image_message(header, result.overlay, "rgb8"))
        if wanted.label_compressed:
            publishers["label/compressed"].publish(conversions.png_message(header, result.labels))
        job.settled = True
        self._queue.settle(job.camera, Fate.LABELLED)
        job.seconds["publish"] += time.perf_counter() - started
        self._records[job.camera].labelled.tick()
        self._records[job.camera].add_times(job.seconds)
        if wanted.stats:
            publishers["stats"].publish(self._stats(job, result, segmenter, batch_size))

    def _stats(
        self, job: _Job, result: Segmentation, segmenter: Segmenter, batch_size: int
    ) -> SegmentationStats:
        counts, seconds = self._queue.counts(job.camera), job.seconds
        pixels = conversions.class_pixels(result.labels)
        return SegmentationStats(
            header=job.message.header,
            camera=self._cameras[job.camera].topic,
            model=segmenter.model,
            weights_sha256=segmenter.weights_sha256,
            device=segmenter.device,
            precision=segmenter.precision,
            batch_size=batch_size,
            class_pixels=pixels[: len(segmenter.classes)].tolist(),
            unlabelled_pixels=int(pixels[UNLABELLED]),
            latency=seconds["end_to_end"],
            wait_time=seconds["waiting"],
            decode_time=seconds["decode"],
            upload_time=seconds["upload"],
            network_time=seconds["network"],
            download_time=seconds["download"],
            publish_time=seconds["publish"],
            frames_received=counts.received,
            frames_labelled=counts.labelled,
            frames_unwatched=counts.unwatched,
            frames_waiting=counts.waiting,
            **{f"dropped_{cause}": count for cause, count in counts.drops.items()},
            health=max((finding.level for finding in job.findings), default=SegmentationStats.OK),
            health_findings=[str(finding) for finding in job.findings],
        )

    def _relay_camera_info(
        self,
        camera: int,
        wanted: Wanted,
        message: Image | CompressedImage,
        size: tuple[int, ...] | None = None,
    ) -> None:
        """Publish the camera's calibration with the frame's header, for a label of ``size`` (H, W)."""
        info = self._cameras[camera].info
        if info is None or not wanted.camera_info:
            return
        height, width = size or (info.height, info.width)
        relayed = conversions.camera_info_message(message.header, info, width, height)
        self._cameras[camera].publishers["camera_info"].publish(relayed)

    def _announce(self, segmenter: Segmenter, config: NodeConfig) -> None:
        """Tell what the ids mean, when that is new."""
        if self._announced == (segmenter, config.min_confidence):
            return
        changed = self._announced is not None and self._announced[0] is not segmenter
        self._announced = (segmenter, config.min_confidence)
        if changed:
            # Nobody else holds the network that was here before.
            release_freed_memory()
        stamp = self._clock.now().to_msg()
        for camera in self._cameras:
            camera.publish_label_info(
                conversions.label_info_message(stamp, segmenter.classes, config.min_confidence)
            )


def ids_of(shown: Iterable[str], classes: Sequence[LabelClass]) -> tuple[int, ...] | None:
    """Return the ids of the classes with these names; None for all.

    Raises:
        ConfigError: a name is not that of a class.
    """
    names = set(shown)
    if ALL_CLASSES in names:
        return None
    unknown = names - {label.name for label in classes}
    if unknown:
        have = ", ".join(label.name for label in classes)
        raise ConfigError(f"shown_classes names '{min(unknown)}': choose from {ALL_CLASSES}, {have}")
    return tuple(label.id for label in classes if label.name in names)


def load_segmenter(config: NodeConfig) -> Segmenter:
    """Load the network of a config and warm it up.

    Raises:
        SegmentationError: in one line, what is wrong.
    """
    with separate_blocks():
        segmenter = load(
            config.model, config.weights or None, config.device, config.precision, config.network_size
        )
        ids_of(config.shown_classes, segmenter.classes)
        # The first pass allocates and tunes; no frame should wait for that.
        height, width = config.network_size or (360, 480)
        segmenter.segment(np.zeros((height, width, 3), np.uint8), overlay=True)
    return segmenter
