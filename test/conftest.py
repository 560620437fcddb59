"""Fixtures that several test modules share."""

import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

# A suite that a script runs in the background ignores SIGINT, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What the tests start may import what they import.
_own = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "rosbags")]
os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), *_own])

# Workers that run beside each other have a core each; PyTorch reads this when it is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_domain_ids = itertools.count(os.getpid())


@pytest.fixture(scope="module", autouse=True)
def ros_domain_id() -> Iterator[int]:
    """Give all that a module's tests start a ROS_DOMAIN_ID of their own, on this machine only."""
    with _domain() as domain_id, pytest.MonkeyPatch.context() as environment:
        environment.setenv("ROS_DOMAIN_ID", str(domain_id))
        environment.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain_id


@pytest.fixture(scope="module")
def observer(ros_domain_id: int) -> Iterator[Any]:
    """Yield the :class:`Graph` of a module: a node of ours beside the one that is looked at."""
    from reliability.graph import Graph

    with Graph() as graph:
        yield graph


@pytest.fixture
def graph(observer: Any) -> Iterator[Any]:
    """Yield the observer; what a test listens to and publishes ends with the test, however that ends."""
    with observer.scope():
        yield observer


@contextmanager
def _domain() -> Iterator[int]:
    """Yield a domain id, 1 to 101, which work on every platform, that no other run on this machine has."""
    with socket.socket(socket.AF_UNIX) as reservation:
        for _ in range(101):
            domain_id = 1 + next(_domain_ids) % 101
            # A name without a file (Linux), which one process has at a time, until it ends.
            with suppress(OSError):
                reservation.bind(f"\0squeeze_segnet_ros.test.domain.{domain_id}")
                break
        yield domain_id


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        observes = "observer" in getattr(item, "fixturenames", ())
        if (observes or item.get_closest_marker("launch")) and not item.get_closest_marker("graph"):
            raise pytest.UsageError(f"{item.nodeid} starts nodes: mark it graph")


@pytest.fixture(autouse=True)
def no_graph_unless_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rclpy.init fail in a test that does not say that it starts a node."""
    if not request.node.get_closest_marker("graph"):
        monkeypatch.setenv("ROS_DOMAIN_ID", "none: this test is not marked graph")


@pytest.fixture(scope="session")
def camvid_root() -> Path:
    """Return the folder that holds CamVid's train, trainannot, val, ... folders."""
    root = os.environ.get("CAMVID_ROOT")
    if not root:
        pytest.skip("CAMVID_ROOT is not set; it names the folder with CamVid's train, trainannot, val, ...")
    if not Path(root, "train").is_dir():
        pytest.fail(f"CAMVID_ROOT={root} has no folder train")
    return Path(root)


@pytest.fixture
def images_of() -> Iterator[Callable[[Sequence[Any]], Any]]:
    """Make checked images of a data set of arrays: pairs of an image and its labels."""
    from squeeze_segnet_ros import classes
    from squeeze_segnet_ros.data.loading import Loader, checked

    class Arrays:
        """What stands in for a data set of files: it reads from a list."""

        label_set = classes.label_set("camvid")
        description = "arrays"

        def read(self, pair: Any) -> Any:
            return pair

    with ExitStack() as stack:

        def make(frames: Sequence[Any]) -> Any:
            sources = [SimpleNamespace(dataset=Arrays(), pair=frame) for frame in frames]
            loader = stack.enter_context(Loader(sources, 2**22, workers=0))
            return checked(loader, range(len(frames)), "arrays")

        yield make


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return weights files of untrained networks, made when first asked for: random, but always the same."""
    folder = tmp_path_factory.mktemp("untrained")

    def file(model: str = "squeeze_segnet", seed: int = 0) -> Path:
        import torch

        from squeeze_segnet_ros import models
        from squeeze_segnet_ros.models import weights

        path = folder / f"{model}_{seed}.safetensors"
        if not path.exists():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                weights.save(path, models.build(model), weights.WeightsMetadata(model))
        return path

    return file


@pytest.fixture(scope="session")
def foreign_networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the three networks from outside, as files with their cards."""
    for library in ("onnxruntime", "onnxscript"):
        pytest.importorskip(library, reason=f"{library} comes with the export extra")
    from support import foreign

    folder = tmp_path_factory.mktemp("foreign")
    return {name: foreign.make(name, folder) for name in foreign.NAMES}
