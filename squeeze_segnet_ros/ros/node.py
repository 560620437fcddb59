"""The ROS 2 node: a managed (lifecycle) node that labels the frames of its cameras."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock as ClockMessage

from squeeze_segnet_ros.errors import ConfigError, SegmentationError, one_line
from squeeze_segnet_ros.memory import release_freed_memory
from squeeze_segnet_ros.ros import diagnostics, parameters, silence
from squeeze_segnet_ros.ros.camera_line import CameraFrame, CameraLine
from squeeze_segnet_ros.ros.config import Change, NodeConfig, Setting
from squeeze_segnet_ros.ros.frame_queue import FrameQueue
from squeeze_segnet_ros.ros.missing_clock import MissingClock
from squeeze_segnet_ros.ros.namesakes import Namesakes
from squeeze_segnet_ros.ros.rclpy_internals import given_parameters, lifecycle_state, take_pending
from squeeze_segnet_ros.ros.shared_memory import Room
from squeeze_segnet_ros.topics import output_bases

if TYPE_CHECKING:
    from squeeze_segnet_ros.engine import Segmenter
    from squeeze_segnet_ros.ros.labeller import Labeller
    from squeeze_segnet_ros.ros.loading import Loaded

DRAIN_SECONDS = 1.0
"""After SIGINT or SIGTERM, frames that wait are labelled for so long; the rest counts as shutting_down."""
LOADER = "loader"
"""Name of the thread that loads a network beside the one that runs."""
_DEACTIVATE_SECONDS = 60.0
_DELIVERY_SECONDS = 0.3
_POLL_SECONDS = 0.1
_FIT_SECONDS = 0.2


@dataclass(frozen=True)
class Events:
    """What the node and its process tell each other.

    Attributes:
        stopping: the process has to end: nothing waits any longer than it must.
        loading: the network is loaded on configuring: nothing is lost when the process ends now.
        device_lost: the GPU has failed for good: only a new process can use it again.
    """

    stopping: threading.Event = field(default_factory=threading.Event)
    loading: threading.Event = field(default_factory=threading.Event)
    device_lost: threading.Event = field(default_factory=threading.Event)


class SegnetNode(LifecycleNode):
    """Subscribes to the cameras, hands frames to the labeller, and answers to lifecycle and parameters.

    Raises:
        ConfigError: a parameter that was given at the start is wrong.
    """

    def __init__(self, events: Events | None = None, **arguments: Any) -> None:
        super().__init__("segnet", **arguments)
        self._events = events or Events()
        self.trouble: str | None = None
        """Why the last transition failed, or the GPU."""
        self._config = parameters.declare(self)
        for line in parameters.complaints_about_unknown(given_parameters(self)):
            self.get_logger().warning(line)
        self._segmenter: Segmenter | None = None
        self._labeller: Labeller | None = None
        self._load_network: Callable[[NodeConfig], Loaded]
        self._caution = ""
        self._namesakes = Namesakes(self)
        self._room = Room(self)
        self._missing_clock = MissingClock(self)
        self._queue: FrameQueue[CameraFrame] = FrameQueue()
        self._cameras: list[CameraLine] = []
        self._active = False
        self._told_unwatched = False
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Wall time, so that a paused bag still shows what the node is doing.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.create_timer(_FIT_SECONDS, self._fit, clock=steady)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump_handle = self.get_clock().create_jump_callback(back, post_callback=self._on_time_jump)

    @property
    def config(self) -> NodeConfig:
        """The parameters as they are now."""
        return self._config

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and offer the outputs."""
        return self._transition(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to label."""
        return self._transition(self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more frames and label those that wait."""
        return self._transition(lambda: self._deactivate(_DEACTIVATE_SECONDS))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the network and the topics."""
        return self._transition(self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Do as deactivate and cleanup, within the time that a signal leaves."""
        return self._transition(self.finish)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured; the trouble that led here stays on /diagnostics."""
        trouble, result = self.trouble, self._transition(self._clean_up)
        self.trouble = self.trouble or trouble
        return result

    def finish(self) -> None:
        """Label what can be labelled in ``DRAIN_SECONDS``, count the rest, let go of everything."""
        self._deactivate(DRAIN_SECONDS)
        self._clean_up()

    def autostart(self) -> bool:
        """Configure and activate; False when one of them failed."""
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def _transition(self, work: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            work()
        except SegmentationError as error:
            self.trouble = str(error)
            self.get_logger().error(self.trouble)
            return TransitionCallbackReturn.FAILURE
        # rclpy drops the exception of a transition: what is not said here is never heard of.
        except Exception as error:
            self.trouble = one_line(error, named=True)
            self.get_logger().error(self.trouble)
            return TransitionCallbackReturn.ERROR
        self.trouble = None
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        started = time.monotonic()
        self._events.loading.set()
        try:
            self._load()
        finally:
            self._events.loading.clear()
        assert self._segmenter is not None
        self.get_logger().info(f"{_describe(self._segmenter)}, ready in {time.monotonic() - started:.1f} s")

    def _load(self) -> None:
        # PyTorch takes seconds to import: the node's services are there before that.
        from squeeze_segnet_ros.ros import labeller, loading

        self._clean_up()
        self._load_network = loading.load_network
        self._use(self._load_network(self._config))
        self._queue = FrameQueue(self._config.max_waiting)
        names = self._config.cameras
        self._cameras = [
            CameraLine(self, name, base, self._config, self._queue)
            for name, base in zip(names, output_bases(names), strict=True)
        ]
        self._labeller = labeller.Labeller(
            self._cameras, self._queue, self.get_clock(), self.get_logger(), self._on_device_lost
        )
        assert self._segmenter is not None
        self._labeller.use(self._segmenter, self._config)

    def _use(self, loaded: Loaded) -> None:
        self._segmenter, self._caution = loaded
        if self._caution:
            self.get_logger().warning(f"the network {self._caution}")

    def _on_device_lost(self, reason: str) -> None:
        self.trouble = reason
        self._events.device_lost.set()

    def _activate(self) -> None:
        assert self._labeller is not None
        self._queue.open()
        self._labeller.start()
        for camera in self._cameras:
            camera.input.subscribe()
            self.get_logger().info(f"listening to {camera.input.topic}")
        self._active = True

    def _deactivate(self, seconds: float) -> None:
        if not self._active or self._labeller is None:
            return
        self._active = False
        self._take_pending()
        for camera in self._cameras:
            camera.input.unsubscribe()
        self._queue.close()
        started = time.monotonic()
        while not self._queue.wait_until_idle(_POLL_SECONDS):
            if time.monotonic() - started > (DRAIN_SECONDS if self._events.stopping.is_set() else seconds):
                break
        self._queue.discard()
        self._labeller.join(_POLL_SECONDS)
        deadline = time.monotonic() + _DELIVERY_SECONDS
        for camera in self._cameras:
            camera.outputs.wait_for_delivery(max(0.0, deadline - time.monotonic()))
            self.get_logger().info(f"{camera.input.topic}: {camera.slot.counts()}")

    def _clean_up(self) -> None:
        for camera in self._cameras:
            camera.destroy()
        self._cameras = []
        self._segmenter = self._labeller = None
        self._caution = ""
        release_freed_memory()

    # Frames

    def _take_pending(self) -> None:
        """Deliver what has arrived while the executor's thread was busy: frames, and the time they go by."""
        for camera in self._cameras:
            camera.input.take_pending()
        for subscription in self.subscriptions:
            if subscription.msg_type is ClockMessage:
                for message, _ in take_pending(subscription):
                    callback: Any = subscription.callback  # the time source's takes no more than the message
                    callback(message)

    def _on_time_jump(self, jump: object) -> None:
        for camera in self._cameras:
            camera.record.forget_time()

    # Parameters

    def describe_parameter(self, name: str) -> ParameterDescriptor:
        """Return what is known of a parameter.

        rclpy notes the type of what was asked for last, though it was refused.
        """
        descriptor = super().describe_parameter(name)
        descriptor.type = parameters.type_of(name) or descriptor.type
        return descriptor

    def _on_set_parameters(self, given: list[Parameter]) -> SetParametersResult:
        try:
            config, different = parameters.changed(self._config, given)
            if self._segmenter is not None:
                self._take_over(config, different)
        except SegmentationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._config = config
        return SetParametersResult(successful=True)

    def _take_over(self, config: NodeConfig, different: list[Setting]) -> None:
        """Let the labeller work with a new config, or raise SegmentationError and change nothing."""
        assert self._segmenter is not None and self._labeller is not None
        for setting in different:
            if setting.change is Change.UNCONFIGURED:
                raise ConfigError(
                    f"{setting.name} may be set {setting.change.value}: deactivate and clean it up first"
                )
        loaded = None
        if any(setting.change is Change.SWITCH for setting in different):
            loaded = self._load_beside(config)
        self._labeller.use(loaded.segmenter if loaded else self._segmenter, config)
        if loaded:
            self._use(loaded)

    def _load_beside(self, config: NodeConfig) -> Loaded:
        """Load a network in another thread; frames are taken on meanwhile, so none is lost."""
        loaded: list[Loaded] = []
        # Texts alone: exceptions would hold on to their frames, and so to the network that runs now, until
        # Python looks for circles, which it seldom does.
        reasons = []

        def load() -> None:
            try:
                loaded.append(self._load_network(config))
            except SegmentationError as error:
                reasons.append(str(error))
            except Exception as error:
                reasons.append(one_line(error, named=True))

        thread = threading.Thread(target=load, name=LOADER, daemon=True)
        thread.start()
        while thread.is_alive() and not self._events.stopping.is_set():
            self._take_pending()
            if self._report_timer.is_ready():
                self._report_timer.reset()
                self._publish_diagnostics()
            thread.join(0.005)
        if not loaded:
            raise ConfigError(reasons[0] if reasons else "the node is shutting down")
        self.get_logger().info(f"switching to {_describe(loaded[0].segmenter)}")
        return loaded[0]

    # Diagnostics

    def _publish_diagnostics(self) -> None:
        name = self.get_fully_qualified_name()
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        frames = sum(camera.reported.received for camera in self._cameras)
        cautions = [
            self._caution,
            self._namesakes.caution(),
            self._room.caution(),
            self._missing_clock.caution(frames),
        ]
        for camera in self._cameras:
            self._look_after(camera)
        message.status = [
            diagnostics.network_status(
                name, lifecycle_state(self), self.trouble, [*filter(None, cautions)], self._segmenter
            ),
            *(diagnostics.camera_status(name, camera, self._active) for camera in self._cameras),
        ]
        self._diagnostics.publish(message)
        self._tell_if_unwatched()

    def _fit(self) -> None:
        """Ask cameras that have come or changed for what they offer."""
        for camera in self._cameras:
            camera.input.fit()

    def _look_after(self, camera: CameraLine) -> None:
        """Do what is not done frame by frame."""
        camera.outputs.announce_to_new()
        before, camera.silence = camera.silence, camera.input.silence()
        if camera.silence and not before:
            self.get_logger().warning(f"no frames for {silence.PATIENCE:.0f} s: {camera.silence}")

    def _tell_if_unwatched(self) -> None:
        if self._told_unwatched or not any(camera.reported.unwatched >= 10 for camera in self._cameras):
            return
        self._told_unwatched = True
        topics = ", ".join(camera.outputs.topics for camera in self._cameras)
        self.get_logger().info(
            f"frames arrive, and nobody listens to {topics}: nothing is computed until someone does"
        )


def _describe(segmenter: Segmenter) -> str:
    return (
        f"{segmenter.model} ({segmenter.weights.name}, {segmenter.weights_sha256[:12]}) "
        f"on {segmenter.device} in {segmenter.precision}"
    )
