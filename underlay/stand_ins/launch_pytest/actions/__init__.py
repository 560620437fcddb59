"""Stand-in for `launch_pytest.actions`."""

from collections.abc import Callable

from launch import Action, LaunchContext


class ReadyToTest(Action):
    """Tests may start once this has been visited; without one, once everything has been."""

    def __init__(self) -> None:
        super().__init__()
        self.callbacks: list[Callable[[], None]] = []

    def execute(self, context: LaunchContext) -> None:
        for callback in self.callbacks:
            callback()
