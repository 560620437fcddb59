"""Imports point one way, and each large library has one home."""

import ast
import pkgutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import squeeze_segnet_ros

PACKAGE = Path(squeeze_segnet_ros.__file__).parent
ROOT = Path(__file__).resolve().parents[1]

# A room (a folder or file of the package) imports from the lines above its own.
ORDER = """
    errors  memory  openmp  stamps  topics
    yaml_file  shipped
    configuration
    classes
    images
    models  bags
    data
    engine
    view
    scoring  offline  ros
    training
    commands
"""

ONLY = {
    "rclpy": "ros",
    "launch": "ros",
    "launch_ros": "ros",
    "cv_bridge": "ros",
    "rerun": "view",
    "matplotlib": "view",
    "ray": "offline/fleet",
    "onnxruntime": "engine/backends/onnx",
    "openvino": "engine/backends/onnx",
}
"""Where a library may be imported: a room, or one file of it."""


@cache
def _imports(file: Path) -> list[str]:
    """Return the dotted names that a file imports, wherever in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names += (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
    return names


FILES = [file.relative_to(PACKAGE) for file in sorted(PACKAGE.rglob("*.py"))]
"""The package's own; the messages that the build generates lie elsewhere."""
LEVELS = {room: level for level, line in enumerate(ORDER.split("\n")) for room in line.split()}
ROOMS = sorted({file.parts[0].removesuffix(".py") for file in FILES} - {"__init__", "__main__"})


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    assert room in LEVELS, "say in ORDER what it may import"
    for file in FILES:
        if file.parts[0].removesuffix(".py") == room:
            for name in _imports(PACKAGE / file):
                assert not name.startswith("."), f"{file}: names of packages are written out"
                package, _, rest = name.partition(".")
                other = rest.partition(".")[0]
                if package == PACKAGE.name and other in ROOMS and other != room:
                    assert LEVELS[other] < LEVELS[room], f"{file} imports {name}"


@pytest.mark.parametrize(("library", "home"), ONLY.items())
def test_only_its_home_imports(library: str, home: str) -> None:
    users = [
        str(file)
        for file in FILES
        if any(name.split(".")[0] == library for name in _imports(PACKAGE / file))
        and not (file.is_relative_to(home) or file.with_suffix("") == Path(home))
    ]
    assert users == []


@pytest.mark.parametrize("outside", ["benchmark", "demo", "reliability", "support", "scenes", "underlay"])
def test_the_product_imports_nothing_of_what_measures_or_surrounds_it(outside: str) -> None:
    launch_files = PACKAGE.parent.joinpath("launch").glob("*.py")
    files = [*(PACKAGE / file for file in FILES), *launch_files]
    users = [file.name for file in files if any(name.split(".")[0] == outside for name in _imports(file))]
    assert users == []


def test_only_images_decodes_pictures() -> None:
    # One decoder, which refuses what would fill the memory: what others decode comes from strangers too.
    decoders = {"imdecode", "imdecodemulti", "imread", "imreadmulti"}
    users = {
        str(file)
        for file in FILES
        if not file.is_relative_to("images")
        for node in ast.walk(ast.parse((PACKAGE / file).read_text()))
        if isinstance(node, ast.Attribute) and node.attr in decoders
    }
    assert users == set()


def test_the_underlay_knows_nothing_of_the_product() -> None:
    # A workspace without the product has the same wheels and stand-ins.
    files = sorted((ROOT / "underlay").rglob("*.py"))
    assert files
    ours = {PACKAGE.name, "benchmark", "demo", "reliability", "support", "scenes"}
    users = [
        str(file.relative_to(ROOT))
        for file in files
        if {name.split(".")[0] for name in _imports(file)} & ours
    ]
    assert users == []


def _modules_outside_ros() -> list[str]:
    found = pkgutil.walk_packages([str(Path(squeeze_segnet_ros.__file__).parent)], "squeeze_segnet_ros.")
    ros_only = ("squeeze_segnet_ros.ros", "squeeze_segnet_ros.msg", "squeeze_segnet_ros.__main__")
    return [module.name for module in found if not module.name.startswith(ros_only)]


@pytest.mark.slow
def test_everything_outside_ros_imports_without_rclpy():
    modules = _modules_outside_ros()
    assert "squeeze_segnet_ros.engine.segmenter" in modules
    code = "import sys, importlib\n" + "sys.modules.update(dict.fromkeys(['rclpy', 'launch', 'cv_bridge']))\n"
    code += "".join(f"importlib.import_module({name!r})\n" for name in modules)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_package_itself_is_light():
    code = "import sys, squeeze_segnet_ros; print('torch' in sys.modules, 'rclpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_tab_completion_shows_what_there_is_for_users():
    names = [name for name in dir(squeeze_segnet_ros) if not name.startswith("_")]
    assert names == ["Request", "Segmentation", "Segmenter", "load", "models", "show"]
    assert "__version__" in dir(squeeze_segnet_ros)
