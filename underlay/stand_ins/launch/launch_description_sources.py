"""Stand-in for `launch.launch_description_sources`: launch files in Python, not in XML or YAML."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING

from .launch_description import LaunchDescription
from .substitutions import SomeSubstitutionsType
from .utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class InvalidLaunchFileError(Exception):
    """A file is no launch file."""


def get_launch_description_from_python_launch_file(path: str) -> LaunchDescription:
    """Run `generate_launch_description` of a launch file."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such launch file: {path}")
    if not path.endswith(".py"):
        raise InvalidLaunchFileError(
            f"{path} is no Python launch file (.launch.py), the only kind known here"
        )
    loader = SourceFileLoader("python_launch_file", path)
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    if not hasattr(module, "generate_launch_description"):
        raise InvalidLaunchFileError(f"{path} has no function generate_launch_description()")
    return module.generate_launch_description()


class LaunchDescriptionSource:
    """Where an included launch description comes from."""

    def __init__(
        self,
        launch_description: LaunchDescription | None = None,
        location: SomeSubstitutionsType = "<string>",
    ) -> None:
        self._launch_description = launch_description
        self._location = normalize_to_list_of_substitutions(location)

    def location(self, context: "LaunchContext") -> str:
        """Return the path of the launch file."""
        return perform_substitutions(context, self._location)

    def get_launch_description(self, context: "LaunchContext") -> LaunchDescription:
        """Return the description, read from its file when needed."""
        if self._launch_description is None:
            self._launch_description = get_launch_description_from_python_launch_file(self.location(context))
        return self._launch_description


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A launch file in Python."""

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        super().__init__(location=launch_file_path)


AnyLaunchDescriptionSource = PythonLaunchDescriptionSource
