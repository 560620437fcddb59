"""A node of our own beside the one that is looked at: sends frames, collects what comes, calls services."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from squeeze_segnet_ros.stamps import nanoseconds
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, camera_info_topic
from support.processes import PATIENCE, TooLate, wait_for

_ASK_AGAIN = 5.0
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


class Graph:
    """Everything that is done to a running node, and seen of it. A context manager that closes itself."""

    def __init__(self, node: str = "/segnet") -> None:
        self.target = node
        self.context = Context()
        self.context.init()
        self.node = Node("observer_of" + node.replace("/", "_"), context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        self._clients: dict[str, Any] = {}
        self._heard_by: dict[int, Any] = {}
        self._publishers: list[Any] = []
        self.diagnostics = self.listen(DiagnosticArray, "/diagnostics")

    def __enter__(self) -> Graph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def listen(
        self,
        kind: type,
        topic: str,
        qos: QoSProfile | int = 100,
        keep: Callable[[Any], Any] = lambda message: message,
        raw: bool = False,
    ) -> list[Any]:
        """Return a list to which every message of a topic is appended, or what ``keep`` makes of it.

        ``raw`` messages are bytes, as they are serialized.
        """
        heard: list[Any] = []
        subscription = self.node.create_subscription(
            kind, topic, lambda message: heard.append(keep(message)), qos, raw=raw
        )
        self._heard_by[id(heard)] = subscription
        return heard

    def stop_listening(self, heard: list[Any]) -> None:
        """Append nothing more to a list of :meth:`listen`."""
        self._forget(id(heard))

    def _forget(self, heard: int) -> None:
        # In the executor's thread, which may be about to wait for what goes.
        gone = self._executor.create_task(self.node.destroy_subscription, self._heard_by.pop(heard))
        self.wait_for(gone.done, "the end of a subscription")

    @contextmanager
    def scope(self) -> Iterator[None]:
        """End with the context what is begun within: what is listened to, and what publishes."""
        heard, publishers = set(self._heard_by), len(self._publishers)
        try:
            yield
        finally:
            for new in set(self._heard_by) - heard:
                self._forget(new)
            for publisher in self._publishers[publishers:]:
                self.node.destroy_publisher(publisher)
            del self._publishers[publishers:]

    wait_for = staticmethod(wait_for)

    def camera(self, topic: str, reliability: str = "reliable", kind: type = Image) -> Camera:
        """Return a publisher of images, once somebody listens to it."""
        return Camera(self, self.node, topic, getattr(QoSReliabilityPolicy, reliability.upper()), kind)

    def subscribers(self, topic: str) -> int:
        """Return how many there are of a topic."""
        return self.node.count_subscribers(topic)

    def topics(self) -> dict[str, list[str]]:
        """Return the types of every topic."""
        return dict(self.node.get_topic_names_and_types())

    def start_set(self, **values: Any) -> Any:
        """Do as :meth:`set` without waiting: return a future of the answer."""
        given = [Parameter(k.replace("__", "."), value=v).to_parameter_msg() for k, v in values.items()]
        request = SetParametersAtomically.Request(parameters=given)
        return self.start(SetParametersAtomically, "set_parameters_atomically", request)

    def endpoints(self) -> tuple[set[str], set[str], set[str]]:
        """Return topics that the node publishes, topics that it subscribes to, services that it offers."""
        namespace, _, name = self.target.rpartition("/")
        ask = (
            self.node.get_publisher_names_and_types_by_node,
            self.node.get_subscriber_names_and_types_by_node,
            self.node.get_service_names_and_types_by_node,
        )
        published, subscribed, offered = ({found for found, _ in get(name, namespace or "/")} for get in ask)
        return published, subscribed, offered

    def publish(self, kind: type, topic: str, qos: QoSProfile | int = 10) -> Any:
        """Return a publisher."""
        self._publishers.append(self.node.create_publisher(kind, topic, qos))
        return self._publishers[-1]

    def call(self, kind: type, name: str, request: Any) -> Any:
        """Return what a service of the node answers."""
        future = self.start(kind, name, request)
        self.wait_for(future.done, f"answer of {name}")
        return future.result()

    def ask(self, kind: type, name: str, request: Any) -> Any:
        """Do as :meth:`call`, for a question that can be repeated.

        A service seems to be there a moment before its answers find their way: the first may be lost.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            future = self.start(kind, name, request)
            try:
                self.wait_for(future.done, f"answer of {name}", _ASK_AGAIN)
                return future.result()
            except TooLate:
                if time.monotonic() > deadline:
                    raise

    def start(self, kind: type, name: str, request: Any) -> Any:
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, f"{self.target}/{name}")
        client = self._clients[name]
        if not client.wait_for_service(PATIENCE):
            raise TooLate(f"there is no service {client.srv_name}")
        return client.call_async(request)

    def state(self) -> str:
        """Return the node's lifecycle state."""
        return str(self.ask(GetState, "get_state", GetState.Request()).current_state.label)

    def wait_until(self, state: str) -> None:
        """Wait for a lifecycle state.

        Raises:
            TooLate: it does not come, with what the node says of itself.
        """
        try:
            self.wait_for(lambda: self.state() == state, f"state {state}")
        except TooLate as error:
            raise TooLate(f"{error}; the node says: {self.status('network').message}") from None

    def change_state(self, transition: str) -> bool:
        """Ask for a transition, such as deactivate; whether it succeeded."""
        request = ChangeState.Request()
        request.transition.label = transition
        return bool(self.call(ChangeState, "change_state", request).success)

    def set(self, **values: Any) -> str:
        """Set parameters together (``overlay__alpha`` for overlay.alpha); why it was refused, or nothing."""
        future = self.start_set(**values)
        self.wait_for(future.done, "answer to new parameters")
        result = future.result().result
        assert result.successful == (not result.reason)
        return str(result.reason)

    def get(self, name: str) -> Any:
        """Return a parameter's value."""
        return self.values(name)[name]

    def values(self, *names: str) -> dict[str, Any]:
        """Return the values of parameters by name."""
        answer = self.ask(GetParameters, "get_parameters", GetParameters.Request(names=names))
        return dict(zip(names, map(parameter_value_to_python, answer.values), strict=True))

    def bring_to(self, values: Mapping[str, Any]) -> None:
        """Make the node active with these parameters by name, in whatever state it is.

        Raises:
            TooLate: it does not get there.
        """
        if self.state() == "active" and self.values(*values) == values:
            return
        down = {"active": "deactivate", "inactive": "cleanup"}

        def unconfigured() -> bool:
            state = self.state()
            if state in down:
                self.change_state(down[state])
            return state == "unconfigured"

        self.wait_for(unconfigured, "state unconfigured")
        different = {name: value for name, value in values.items() if self.get(name) != value}
        reason = self.set(**different)
        if reason or not (self.change_state("configure") and self.change_state("activate")):
            raise TooLate(f"the node does not come back: {reason or self.status('network').message}")

    def types(self, *names: str) -> list[int]:
        """Return the types of parameters, as ``ros2 param describe`` shows them."""
        request = DescribeParameters.Request(names=list(names))
        return [
            each.type for each in self.call(DescribeParameters, "describe_parameters", request).descriptors
        ]

    def status(self, name: str) -> DiagnosticStatus:
        """Return the next report about the network, or about a topic."""
        before = len(self.diagnostics)

        def reports() -> list[DiagnosticStatus]:
            new = [status for message in self.diagnostics[before:] for status in message.status]
            return [status for status in new if status.name == f"{self.target}: {name}"]

        # The first may have been on its way already.
        self.wait_for(lambda: len(reports()) > 1, "a report on /diagnostics")
        return reports()[-1]

    def counts(self, topic: str) -> dict[str, int]:
        """Return frames of a camera by what became of them."""
        values = {v.key: v.value for v in self.status(topic).values}
        return {
            k.removeprefix("frames ").removeprefix("dropped "): int(v)
            for k, v in values.items()
            if k.startswith(("frames ", "dropped "))
        }


class Camera:
    """Publishes the frames of a camera."""

    def __init__(self, graph: Graph, node: Node, topic: str, reliability: Any, kind: type) -> None:
        self._graph = graph
        self._node = node
        self.topic = topic
        qos = QoSProfile(depth=50, reliability=reliability)
        self.publisher: Any = graph.publish(kind, topic, qos)
        self._info = graph.publish(CameraInfo, camera_info_topic(topic.removesuffix(COMPRESSED_SUFFIX)), 50)
        graph.wait_for(self.publisher.get_subscription_count, f"a subscriber of {topic}")

    def header(self, age: float = 0.0) -> Header:
        """Return a header with the time ``age`` seconds ago."""
        stamp = self._node.get_clock().now().nanoseconds - round(age * 1e9)
        header = Header(frame_id="camera_optical_frame")
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
        return header

    def send(self, pixels: np.ndarray, encoding: str = "rgb8", age: float = 0.0, **changes: Any) -> Header:
        """Publish an image, with fields changed, and its camera_info."""
        header = self.header(age)
        height, width = pixels.shape[:2]
        image = Image(
            header=header, height=height, width=width, encoding=encoding, step=pixels.size // height
        )
        image.data.frombytes(pixels.tobytes())
        for name, value in changes.items():
            setattr(image, name, value)
        self._info.publish(CameraInfo(header=header, width=width, height=height))
        self.publisher.publish(image)
        return header

    def until_heard(self, heard: list[Any], pixels: np.ndarray, encoding: str = "rgb8") -> Any:
        """Send an image again and again until the node's answer to one is in ``heard``; return the answer.

        The first ones may go out before the node knows that somebody listens.

        Raises:
            TooLate: none came.
        """
        sent: list[int] = []

        def answer() -> Any:
            return next((message for message in list(heard) if stamp_of(message) in sent), None)

        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            sent.append(nanoseconds(self.send(pixels, encoding).stamp))
            with suppress(TooLate):
                return self._graph.wait_for(answer, "", 3.0)
        raise TooLate(f"no answer to a frame of {self.topic} within {PATIENCE:g} s")

    def close(self) -> None:
        """Take the camera off the graph."""
        for publisher in (self.publisher, self._info):
            self._node.destroy_publisher(publisher)


def picture(seed: int = 0, height: int = 64, width: int = 96) -> np.ndarray:
    """Return uint8 (H, W, 3) with structure."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin((x * (k + 1) + 2 * y) / 7 + seed) for k in range(3)]
    return np.stack(waves, -1).astype(np.uint8)


def stamp_of(message: Any) -> int:
    """Return the stamp of a message's header in nanoseconds."""
    return nanoseconds(message.header.stamp)
