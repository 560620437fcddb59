"""Imports point one way: nothing outside squeeze_segnet_ros.ros needs ROS."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import squeeze_segnet_ros


def _modules_outside_ros() -> list[str]:
    found = pkgutil.walk_packages([str(Path(squeeze_segnet_ros.__file__).parent)], "squeeze_segnet_ros.")
    ros_only = ("squeeze_segnet_ros.ros", "squeeze_segnet_ros.msg", "squeeze_segnet_ros.__main__")
    return [module.name for module in found if not module.name.startswith(ros_only)]


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
    assert names == ["Request", "Segmentation", "Segmenter", "load", "models"]
    assert "__version__" in dir(squeeze_segnet_ros)
