"""The node's view: its cameras are seen in a real browser, and the node does not care how that ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("rerun", reason="needs Rerun: pip install squeeze_segnet_ros[view]")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from benchmark.node_rate import NODE
from reliability.graph import Graph
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.ros import messages as conversions
from support import browser
from support.processes import Running, descendants

pytestmark = [pytest.mark.graph, pytest.mark.slow]

CAMERAS = ("/camera/left/image_raw", "/camera/right/image_raw")
COLORS = ((220, 0, 0), (0, 0, 220))
VIEWER = [sys.executable, "-m", "squeeze_segnet_ros.ros.viewer", "--cameras", *CAMERAS, "--port"]


@pytest.fixture(scope="module")
def graph(ros_domain_id: int) -> Iterator[Graph]:
    with Graph() as graph:
        yield graph


@pytest.fixture(scope="module")
def node(graph: Graph) -> Iterator[Running]:
    """Start the node around a network that takes no time, and cameras that send to it."""
    given = ["--ros-args", "-p", f"cameras:=[{','.join(CAMERAS)}]"]
    stop = threading.Event()
    with Running([sys.executable, "-c", NODE.format(seconds=0), *given]) as node:
        node.wait_for_line("listening to " + CAMERAS[-1])
        publishers = [graph.publish(Image, camera, 5) for camera in CAMERAS]

        def send() -> None:
            while not stop.wait(0.2):
                for publisher, color in zip(publishers, COLORS, strict=True):
                    sec, nanosec = divmod(time.time_ns(), 10**9)
                    header = Header(stamp=Time(sec=sec, nanosec=nanosec))
                    picture = np.full((120, 160, 3), color, np.uint8)
                    publisher.publish(conversions.serialized_image(header, picture, "rgb8"))

        cameras = threading.Thread(target=send)
        cameras.start()
        yield node
        stop.set()
        cameras.join()


def labels_come(graph: Graph) -> None:
    labels = graph.listen(Image, "/camera/left/segmentation/label")
    graph.wait_for(lambda: len(labels) > 3, "labels")
    graph.stop_listening(labels)


@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "there is one")
def test_both_cameras_are_in_the_browser_and_closing_it_changes_nothing(graph: Graph, node: Running) -> None:
    over = CAMVID.classes[0].rgb  # of what the network that takes no time says
    wanted = [browser.blended(color, over) for color in COLORS]

    def there(picture: np.ndarray) -> bool:
        return all(browser.share(picture, color) > 0.03 for color in wanted)

    # A page that is drawn by the processor wants time for each picture.
    with Running([*VIEWER, "0", "--rate", "1"]) as viewer:
        viewer.wait_for_line("look at it: ")
        address = re.findall(r"http://\S+", viewer.text)[0]
        with browser.open_page() as page:
            page.open(address)
            page.wait_for(there, "pictures of both cameras")
            page.close()
            labels_come(graph)
        labels_come(graph)
        viewer.send(signal.SIGINT)
        assert viewer.wait(20.0) == 0, viewer.text
    labels_come(graph)
    assert node.is_running()


def test_a_port_that_is_taken_is_one_line_and_the_node_goes_on(graph: Graph, node: Running) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with Running([*VIEWER, port]) as viewer:
            assert viewer.wait() == 2
    assert viewer.lines == [f"viewer: port {port} of 127.0.0.1 is taken: give another one with --port"]
    labels_come(graph)


def test_without_rerun_it_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "rerun.py").write_text("raise ImportError('No module named rerun')\n")
    with Running([*VIEWER, "0"], PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}") as viewer:
        assert viewer.wait() == 2
    assert len(viewer.lines) == 1 and 'pip install "squeeze_segnet_ros[view]"' in viewer.text


def test_a_viewer_that_is_killed_leaves_nothing(graph: Graph, node: Running) -> None:
    with Running([*VIEWER, "0"]) as viewer:
        viewer.wait_for_line("look at it: ")
        servers = [Path("/proc", str(pid)) for pid in descendants(viewer.pid)]
        assert servers
        viewer.send(signal.SIGKILL)
        viewer.wait()
        graph.wait_for(lambda: not any(server.exists() for server in servers), "the end of Rerun's server")
    labels_come(graph)
