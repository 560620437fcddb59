"""The project's metadata, and what the set-up says on machines on which it cannot work."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
TOOLS = (
    "awk bash cat cut dirname env find flock grep head ln mkdir mv paste rm sed sha256sum sort tail tr uname "
    "xargs"
)


def declared_dependencies() -> set[str]:
    return {tag.text for tag in PACKAGE if tag.tag in ("depend", "exec_depend")}


def imported_modules(*folders: str) -> set[str]:
    modules: set[str] = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    modules |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    modules.add(node.module.partition(".")[0])
    return modules - set(sys.stdlib_module_names) - {"squeeze_segnet_ros"}


def test_package_xml_is_valid():
    package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is not installed")
    assert package.parse_package(ROOT).get_build_type() == "ament_cmake"


def test_the_version_for_pip_is_that_of_package_xml():
    pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 or newer reads pyproject.toml")
    printed = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split()[-1] == PACKAGE.findtext("version")


def test_the_two_descriptions_agree_on_name_and_license():
    project = (ROOT / "pyproject.toml").read_text()
    assert f'name = "{PACKAGE.findtext("name")}"' in project
    assert f'license = "{PACKAGE.findtext("license")}"' in project
    assert "Apache License" in (ROOT / PACKAGE.find("license").attrib["file"]).read_text()


def test_package_xml_names_what_the_node_and_the_launch_file_import():
    keys = {
        "cv2": "python3-opencv",
        "numpy": "python3-numpy",
        "rosbags": "python3-rosbags-pip",
        "torch": "python3-pytorch-pip",
        "tqdm": "python3-tqdm",
        "yaml": "python3-yaml",
    }
    optional = {
        "PIL",
        "av",
        "fsspec",
        "backports",
        "compression",  # of the standard library, from Python 3.14
        "lz4",
        "matplotlib",
        "mitsuba",
        "onnx",
        "onnxruntime",
        "onnxscript",
        "openvino",
        "psutil",
        "ray",
        "rerun",
        "tensorboard",
        "triton",
    }
    no_rosdep_key = {"safetensors"}
    modules = imported_modules("squeeze_segnet_ros", "launch") - optional - no_rosdep_key
    assert {keys.get(module, module) for module in modules} <= declared_dependencies()


def test_every_pin_is_exact():
    for file in sorted((ROOT / "underlay" / "requirements").rglob("*.txt")):
        for line in file.read_text().splitlines():
            assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[\w.]+(; .+)?", line), (
                f"{file.name}: {line}"
            )


class Machine:
    """A folder with the project's set-up files, and a PATH that has only what is put there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.programs = folder / "bin"
        self.programs.mkdir()
        for tool in TOOLS.split():
            (self.programs / tool).symlink_to(shutil.which(tool))
        for tool in ("cc", "c++", "cmake", "make"):
            self.add(tool, "exit 0")
        self.add("df", "printf 'Filesystem 1024-blocks Used Available\\nx 0 0 99999999\\n'")
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for name in ("underlay", "msg"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        for name in ("CMakeLists.txt", "package.xml"):
            shutil.copy(ROOT / name, self.root)

    def add(self, program: str, script: str) -> None:
        path = self.programs / program
        path.unlink(missing_ok=True)
        path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
        path.chmod(0o755)

    def complaint(self, **environment: str) -> str:
        """Run the set-up, which has to fail, and return the one line that it prints."""
        done = subprocess.run(
            ["bash", "underlay/setup.sh"],
            cwd=self.root,
            env={"PATH": str(self.programs), "HOME": os.environ["HOME"], **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1, done
        lines = [line for line in done.stderr.splitlines() if line]
        assert len(lines) == 1 and lines[0].startswith("setup: "), done.stderr
        return lines[0]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def reports_python(version: str) -> str:
    return f"echo cpython {version}"


@pytest.fixture
def good_python(machine):
    """Let python3 be this interpreter; skip where it is none that the set-up takes."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 14):
        pytest.skip("the wheels are set up with Python 3.10 to 3.14")
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        pytest.skip("this Python has no C headers")
    machine.add("python3", f'exec "{sys.executable}" "$@"')


@pytest.mark.parametrize("missing", ["cc", "c++", "cmake", "make"])
def test_a_missing_compiler(machine, good_python, missing):
    (machine.programs / missing).unlink()
    assert re.search(rf"no {re.escape(missing)},.*apt install build-essential cmake", machine.complaint())


@pytest.mark.parametrize("version", ["3.9", "3.15"])
def test_an_unsupported_python(machine, version):
    machine.add("python3", reports_python(version))
    assert re.search(rf"3\.10 to 3\.14 is needed .*python3 is cpython {version}", machine.complaint())


def test_no_python_at_all(machine):
    assert "python3 does not run" in machine.complaint()


def test_a_chosen_python_that_is_not_there(machine):
    assert "/nowhere/python3.12 does not run" in machine.complaint(PYTHON="/nowhere/python3.12")


def test_a_python_that_is_there_by_name_only_is_passed_over(machine):
    machine.add("python3", reports_python("3.9"))
    machine.add("python3.12", "exit 127")
    machine.add("python3.11", 'case "$*" in *version_info*) echo cpython 3.11;; *) exit 1;; esac')
    assert "python3.11 has no module venv" in machine.complaint()


def test_a_distribution_of_which_there_are_no_wheels(machine):
    assert "no ROS 2 'noetic' here: DISTRO is one of jazzy kilted" in machine.complaint(DISTRO="noetic")


def test_the_wheels_of_another_workspace_are_no_distribution(machine, good_python, tmp_path):
    venv = tmp_path / "other" / ".venvs" / "jazzy"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    machine.add("ros2", "exit 0")
    (machine.programs / "ros2").rename(venv / "bin" / "ros2")
    sourced = {
        "ROS_DISTRO": "jazzy",
        "AMENT_PREFIX_PATH": str(venv),
        "PATH": f"{venv}/bin:{machine.programs}",
    }
    assert "no ROS 2 'noetic' here" in machine.complaint(DISTRO="noetic", **sourced)
    (venv / "pyvenv.cfg").unlink()
    assert "ROS 2 jazzy is there but colcon is not" in machine.complaint(DISTRO="noetic", **sourced)


@pytest.mark.parametrize("distribution", ["jazzy", "kilted"])
def test_an_environment_takes_the_place_of_another_of_the_same_workspace(tmp_path, distribution):
    """Source what the set-up writes for a shell in which another environment was sourced before."""
    script = (ROOT / "underlay" / "setup.sh").read_text()
    write = script[script.index("write_local_setup() {") : script.index("build_workspace() {")]
    venv = tmp_path / ".venvs" / distribution
    venv.mkdir(parents=True)
    other = f"{tmp_path}/.venvs/other"
    shell = f"root={tmp_path} venv={venv} DISTRO={distribution}\n{write}\nwrite_local_setup wheels"
    subprocess.run(["bash", "-ec", shell], check=True)
    done = subprocess.run(
        ["sh", "-euc", f". {venv}/local_setup.sh; env"],
        env={
            "PATH": f"{other}/bin:{tmp_path}/.venv/bin:{os.environ['PATH']}",
            "AMENT_PREFIX_PATH": f"/ws/install/a:{other}:{tmp_path}/.venv",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    after = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert after["PATH"] == f"{venv}/bin:{os.environ['PATH']}"
    assert after["AMENT_PREFIX_PATH"] == f"{venv}:/ws/install/a"
    assert after["CMAKE_PREFIX_PATH"] == str(venv)
    assert after["ROS_DISTRO"] == distribution


@pytest.mark.parametrize("name", ["clöne", "a;b"])
def test_a_folder_that_the_message_generators_do_not_take(tmp_path, name):
    (tmp_path / name).mkdir()
    assert "take no path with letters beyond ASCII" in Machine(tmp_path / name).complaint()


def test_a_folder_with_a_blank_is_no_reason_to_give_up(tmp_path):
    (tmp_path / "my clone").mkdir()
    assert "python3 does not run" in Machine(tmp_path / "my clone").complaint()


def test_a_full_disk(machine, good_python):
    machine.add("df", "printf 'Filesystem 1024-blocks Used Available\\nx 0 0 204800\\n'")
    assert re.search(r"needs \d+ GB, but there are 200 MB free", machine.complaint())


def test_another_processor_than_the_wheels_are_for(machine, good_python):
    machine.add("uname", "echo Linux aarch64")
    assert "source a ROS 2 distribution" in machine.complaint()


@pytest.mark.parametrize("damage", ["", "missing", "truncated"])
def test_packages_that_an_interrupted_pip_left_incomplete_are_found(tmp_path, damage):
    (tmp_path / "requirements.txt").write_text(
        "# comment\nsome-part==1.0; python_version > '3'\nnot-there==2.0\n"
    )
    metadata = tmp_path / "some_part-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-part\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("some_part.py,sha256=x,6\nsome_part-1.0.dist-info/RECORD,,\n")
    if damage != "missing":
        (tmp_path / "some_part.py").write_text("x = 1\n" if not damage else "x")
    printed = subprocess.run(
        [sys.executable, ROOT / "underlay" / "wheels.py", "damaged", tmp_path / "requirements.txt"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.split() == (["some-part==1.0"] if damage else [])
