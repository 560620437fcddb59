"""The way of a frame: taken from the queue, decoded, segmented, published; off the executor's thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import NamedTuple

from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger
from std_msgs.msg import Header

from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.engine import Request, Segmentation, Segmenter
from squeeze_segnet_ros.engine.segmenter import MIN_SIZE
from squeeze_segnet_ros.errors import DeviceLostError, InvalidImageError
from squeeze_segnet_ros.images.camera_info import camera_info_of_label
from squeeze_segnet_ros.images.encodings import Pixels
from squeeze_segnet_ros.images.health import Finding
from squeeze_segnet_ros.images.label_images import class_pixels
from squeeze_segnet_ros.memory import release_freed_memory
from squeeze_segnet_ros.msg import SegmentationStats
from squeeze_segnet_ros.ros import messages as conversions
from squeeze_segnet_ros.ros.camera_line import CameraFrame, CameraLine
from squeeze_segnet_ros.ros.complaints import Complaints
from squeeze_segnet_ros.ros.config import NodeConfig
from squeeze_segnet_ros.ros.frame_queue import Fate, FrameQueue
from squeeze_segnet_ros.ros.loading import ids_of
from squeeze_segnet_ros.ros.pipeline import Pipeline, Stages
from squeeze_segnet_ros.stamps import nanoseconds
from squeeze_segnet_ros.topics import (
    CAMERA_INFO,
    CONFIDENCE,
    LABEL,
    LABEL_PNG,
    OVERLAY,
    STATS,
    Output,
)

MAX_BATCH = 8
"""Frames of different cameras that go through the network together."""
_MAX_DECODERS = 4


class _Tools(NamedTuple):
    """What a frame is worked on with; ``ask`` is what the config says of the outputs."""

    segmenter: Segmenter
    config: NodeConfig
    ask: Request


@dataclass
class _Job:
    """A frame on its way; ``seconds`` are the times of its stages so far, ``since`` when it was decoded."""

    frame: CameraFrame
    tools: _Tools
    wanted: frozenset[Output]
    picture: Pixels
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    since: float
    settled: bool = False

    @property
    def camera(self) -> CameraLine:
        return self.frame.camera

    @property
    def header(self) -> Header:
        return self.frame.message.header

    @property
    def kind(self) -> tuple[int, bool, bool]:
        """With what it is worked on, and what is asked of the network beside labels: confidence, overlay."""
        return id(self.tools), CONFIDENCE in self.wanted, OVERLAY in self.wanted


class Labeller:
    """Takes frames from the queue until it is closed and empty; :class:`Pipeline` says in which threads.

    ``on_device_lost`` is called from one of them, with the reason, when the GPU has failed for good.
    """

    def __init__(
        self,
        cameras: Sequence[CameraLine],
        queue: FrameQueue[CameraFrame],
        clock: Clock,
        log: RcutilsLogger,
        on_device_lost: Callable[[str], None],
    ) -> None:
        self._cameras = cameras
        self._queue = queue
        self._clock = clock
        self._complaints = Complaints(log.warning)
        self._on_device_lost = on_device_lost
        self._tools: _Tools
        self._announced: tuple[Segmenter, float] | None = None
        self._pipeline: Pipeline[CameraFrame, _Job, list[Segmentation]] | None = None

    def use(self, segmenter: Segmenter, config: NodeConfig) -> None:
        """Work with these from the next batch on. May be called from any thread.

        Raises:
            ConfigError: ``shown_classes`` names a class that the network does not know, or there is a
                ``min_confidence`` for one that gives no scores; nothing has changed.
        """
        ask = Request(
            overlay_alpha=config.overlay.alpha,
            min_confidence=config.min_confidence,
            shown_classes=ids_of(config.shown_classes, segmenter.classes),
        )
        segmenter.check(ask)
        self._tools = _Tools(segmenter, config, ask)

    def start(self) -> None:
        """Begin to work."""
        self._announced = None
        self._announce(self._tools)
        self._pipeline = Pipeline(
            Stages(
                take=lambda: self._queue.take(MAX_BATCH),
                prepare=self._prepare,
                group=_grouped,
                compute=self._segment,
                hand_on=self._hand_on,
            ),
            passes=self._tools.segmenter.passes,
            decoders=min(_MAX_DECODERS, os.cpu_count() or 1),
        )
        self._pipeline.start()

    def join(self, seconds: float) -> bool:
        """Wait for the end of the work, after the queue was closed; False when it takes longer."""
        return self._pipeline is None or self._pipeline.join(seconds)

    # The first stage: a frame that is worth the network becomes a job.

    def _prepare(self, frame: CameraFrame) -> _Job | None:
        """Decode a frame; None when it was settled otherwise."""
        camera, tools = frame.camera, self._tools
        wanted, max_age = camera.outputs.wanted(), tools.config.max_age
        stamp, now = nanoseconds(frame.message.header.stamp), self._clock.now().nanoseconds
        try:
            if not any(output.needs_network for output in wanted):
                fate = Fate.UNWATCHED
                self._relay_camera_info(frame, wanted)
            else:
                findings = camera.record.health.check_stamp(stamp, now, max_age)
                self._note(camera, findings)
                if not max_age or now - stamp <= max_age * 1e9:
                    return self._decode(frame, tools, wanted, findings)
                fate = Fate.TOO_OLD
        except InvalidImageError as error:
            fate = Fate.INVALID
            self._complaints.tell(f"{camera.input.topic}: dropped a frame", error)
        except Exception as error:
            fate = Fate.FAILED
            self._complaints.tell(f"{camera.input.topic}: failed on a frame", error)
        camera.slot.settle(fate)
        return None

    def _decode(
        self, frame: CameraFrame, tools: _Tools, wanted: frozenset[Output], findings: tuple[Finding, ...]
    ) -> _Job:
        started = time.perf_counter()
        picture = conversions.pixels_of(frame.message, tools.config.max_pixels, frame.camera.record.bits)
        self._tell_once(frame.camera, picture.note)
        height, width = picture.array.shape[:2]
        if min(height, width) < MIN_SIZE:
            raise InvalidImageError(
                f"the image is {width}x{height}: at least {MIN_SIZE}x{MIN_SIZE} is needed"
            )
        decoded = time.perf_counter()
        seconds = {"waiting": started - frame.arrived, "decode": decoded - started}
        return _Job(frame, tools, wanted, picture, findings, seconds, decoded)

    def _note(self, camera: CameraLine, findings: tuple[Finding, ...]) -> None:
        camera.record.note(findings)
        for finding in findings:
            if finding.lasts:
                self._tell_once(camera, str(finding))

    def _tell_once(self, camera: CameraLine, note: str) -> None:
        if note:
            camera.record.tell_once(
                note, lambda text: self._complaints.offer(f"{camera.input.topic}: {text}")
            )

    # The second stage: the network.

    def _segment(self, jobs: list[_Job]) -> list[Segmentation]:
        started = time.perf_counter()
        for job in jobs:
            job.seconds["waiting"] += started - job.since
        (_, confidence, overlay), tools = jobs[0].kind, jobs[0].tools
        if confidence and not tools.segmenter.gives_scores:
            confidence = False
            note = f"no confidence image: {tools.segmenter.model} gives labels without scores"
            for job in jobs:
                self._tell_once(job.camera, note)
        ask = replace(tools.ask, confidence=confidence, overlay=overlay)
        pictures, encodings = [job.picture.array for job in jobs], [job.picture.encoding for job in jobs]
        results = tools.segmenter.segment(pictures, ask, encodings)
        size = tools.config.label_size
        return [conversions.at_size(result, size) for result in results] if all(size) else results

    # The third stage: what others get.

    def _hand_on(
        self, frames: list[CameraFrame], groups: list[tuple[list[_Job], Future[list[Segmentation]]]]
    ) -> None:
        if not groups:
            self._announce(self._tools)
        for group, future in groups:
            self._announce(group[0].tools)
            try:
                results = future.result()
                # The labels of all cameras first, since others wait for them.
                for job, result in zip(group, results, strict=True):
                    self._publish_label(job, result)
                for job, result in zip(group, results, strict=True):
                    self._publish_rest(job, result, len(group))
            # Out of memory, say: the frame is gone, the node is not.
            except Exception as error:
                self._complaints.tell("segmenting failed", error)
                if isinstance(error, DeviceLostError):
                    self._on_device_lost(str(error))
                for job in group:
                    if not job.settled:
                        job.camera.slot.settle(Fate.FAILED)
        self._queue.done(len(frames))

    def _publish_label(self, job: _Job, result: Segmentation) -> None:
        started = time.perf_counter()
        job.camera.outputs.announce_to_new()
        if LABEL in job.wanted:
            job.camera.outputs.publish(
                LABEL, conversions.serialized_image(job.header, result.labels, "mono8")
            )
        latency = (self._clock.now().nanoseconds - nanoseconds(job.header.stamp)) / 1e9
        job.seconds |= result.seconds | {"publish": time.perf_counter() - started, "end_to_end": latency}

    def _publish_rest(self, job: _Job, result: Segmentation, batch_size: int) -> None:
        """Publish each output only if somebody listens."""
        started = time.perf_counter()
        header, publish = job.header, job.camera.outputs.publish
        self._relay_camera_info(job.frame, job.wanted, job.picture.array.shape, result.labels.shape)
        if result.confidence is not None:
            publish(CONFIDENCE, conversions.serialized_image(header, result.confidence, "mono8"))
        if result.overlay is not None:
            publish(OVERLAY, conversions.serialized_image(header, result.overlay, "rgb8"))
        if LABEL_PNG in job.wanted:
            publish(LABEL_PNG, conversions.serialized_png(header, result.labels))
        # After what others wait for; a camera's frames come here in their order.
        job.findings += job.camera.record.health.check(job.picture.array, job.picture.damage)
        job.camera.record.note(job.findings)
        job.settled = True
        job.camera.slot.settle(Fate.LABELLED)
        job.seconds["publish"] += time.perf_counter() - started
        job.camera.record.labelled.tick()
        job.camera.record.add_times(job.seconds)
        if STATS in job.wanted:
            publish(STATS, self._stats(job, result, batch_size))

    def _stats(self, job: _Job, result: Segmentation, batch_size: int) -> SegmentationStats:
        counts, seconds, segmenter = job.camera.slot.counts(), job.seconds, job.tools.segmenter
        pixels = class_pixels(result.labels)
        return SegmentationStats(
            header=job.header,
            camera=job.camera.name,
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
        frame: CameraFrame,
        wanted: frozenset[Output],
        image_size: tuple[int, ...] | None = None,
        label_size: tuple[int, ...] | None = None,
    ) -> None:
        """Publish the camera's calibration with the frame's header, for a label of that size (H, W)."""
        info = frame.camera.input.info
        if info is None or CAMERA_INFO not in wanted:
            return
        relayed = camera_info_of_label(frame.message.header, info, image_size, label_size)
        frame.camera.outputs.publish(CAMERA_INFO, relayed)

    def _announce(self, tools: _Tools) -> None:
        """Tell what the ids mean, when that is new."""
        segmenter, threshold = tools.segmenter, tools.config.min_confidence
        if self._announced == (segmenter, threshold):
            return
        changed = self._announced is not None and self._announced[0] is not segmenter
        self._announced = (segmenter, threshold)
        if changed:
            # Nobody else holds the network that was here before.
            release_freed_memory()
        message = conversions.label_info_message(self._clock.now().to_msg(), segmenter.classes, threshold)
        for camera in self._cameras:
            camera.outputs.announce(message)


def _grouped(jobs: Sequence[_Job]) -> list[list[_Job]]:
    """Put together what goes through the network together: nobody pays for another's overlay."""
    kinds: dict[object, list[_Job]] = {}
    for job in jobs:
        kinds.setdefault(job.kind, []).append(job)
    return list(kinds.values())
