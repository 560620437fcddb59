"""Stand-in for the pytest plug-in of `launch_pytest`: tests marked `launch(fixture=..., shutdown=...)`."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from launch import LaunchContext, LaunchDescription, LaunchService

from .fixture import Launch


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "launch(fixture, shutdown=False): run while the launch of the fixture runs, or after its shutdown",
    )


@pytest.fixture
def launch_service(request: pytest.FixtureRequest) -> LaunchService:
    """Return the service that runs the launch of this test."""
    launch = _launch_of(request.node)
    assert launch is not None, "launch_service is for tests marked with pytest.mark.launch"
    return launch.service


@pytest.fixture
def launch_context(launch_service: LaunchService) -> LaunchContext:
    """Return the context of the launch of this test."""
    return launch_service.context


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Start the launch that a launch fixture describes."""
    launch = getattr(fixturedef.func, "launch", None)
    outcome: Any = yield
    if not isinstance(launch, Launch):
        return
    result = outcome.get_result()
    description = result[0] if isinstance(result, Sequence) and result else result
    if not isinstance(description, LaunchDescription):
        raise TypeError(
            f"launch fixture '{fixturedef.argname}' returned {result!r}, expected a LaunchDescription first"
        )
    fixturedef.addfinalizer(launch.close)
    launch.start(description)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> "list[pytest.Item] | None":
    """Collect launch tests, which may yield; in a wider scope what comes after that is a second test."""
    if not (inspect.isfunction(obj) and collector.funcnamefilter(name)):
        return None
    marks = [mark for mark in getattr(obj, "pytestmark", []) if mark.name == "launch"]
    mark = marks[0] if marks else collector.get_closest_marker("launch")
    if mark is None:
        return None
    launch = getattr(mark.kwargs.get("fixture"), "launch", None)
    if not isinstance(launch, Launch):
        raise collector.CollectError(f"{name}: pytest.mark.launch needs fixture=<a launch_pytest.fixture>")
    has_second_part = inspect.isgeneratorfunction(obj) or inspect.isasyncgenfunction(obj)
    if has_second_part and mark.kwargs.get("shutdown"):
        raise collector.CollectError(f"{name}: a test that yields cannot be marked with shutdown=True")
    pytest.mark.usefixtures(mark.kwargs["fixture"].__name__)(obj)
    items = list(collector._genfunctions(name, obj))
    if has_second_part and launch.scope != "function":
        second_parts = list(collector._genfunctions(name, obj))
        for first, second in zip(items, second_parts, strict=True):
            second.name += "[shutdown_test]"
            second._nodeid += "[shutdown_test]"
            second.launch_first_part = first
        items += second_parts
    return items


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Move the tests that need the launch to be over behind the others of the same launch."""

    def key(item: Any) -> Any:
        launch = _launch_of(item)
        if launch is None or launch.scope == "function":
            return None
        fixture = item.get_closest_marker("launch").kwargs["fixture"]
        callspec = getattr(item, "callspec", None)
        return id(launch), callspec and callspec.indices.get(fixture.__name__)

    last = {key(item): position for position, item in enumerate(items) if not _is_after_shutdown(item)}

    def place(entry: tuple[int, Any]) -> tuple[int, bool, int]:
        position, item = entry
        moves = _is_after_shutdown(item) and key(item) is not None
        return (max(position, last.get(key(item), position)) if moves else position), moves, position

    items[:] = [item for _, item in sorted(enumerate(items), key=place)]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    """Run a launch test while its launch goes on, the part after its yield once that is over."""
    launch = _launch_of(pyfuncitem)
    if launch is None:
        return None
    function = pyfuncitem.obj
    if _is_after_shutdown(pyfuncitem):
        launch.shut_down()
    first_part = getattr(pyfuncitem, "launch_first_part", None)
    if first_part is not None:
        if not hasattr(first_part, "launch_started"):
            pytest.skip("the part before the shutdown did not pass")
        _finish(launch, first_part.launch_started)
        return True
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    if inspect.iscoroutinefunction(function):
        launch.run_coroutine(function(**arguments))
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        started = function(**arguments)
        if _advance(launch, started):
            pytest.fail("a launch test that yields has to yield once", pytrace=False)
        if launch.scope == "function":
            launch.shut_down()
            _finish(launch, started)
        else:
            pyfuncitem.launch_started = started
    else:
        launch.run(lambda: function(**arguments))
    return True


def _advance(launch: Launch, started: Any) -> bool:
    """Run a test up to its next yield; True if it has ended instead."""
    ended = object()
    if not inspect.isasyncgen(started):
        return launch.run(lambda: next(started, ended)) is ended
    try:
        launch.run_coroutine(started.__anext__())
    except StopAsyncIteration:
        return True
    return False


def _finish(launch: Launch, started: Any) -> None:
    if not _advance(launch, started):
        pytest.fail("a launch test that yields has to yield once", pytrace=False)


def _launch_of(item: Any) -> Launch | None:
    mark = item.get_closest_marker("launch")
    return None if mark is None else getattr(mark.kwargs.get("fixture"), "launch", None)


def _is_after_shutdown(item: Any) -> bool:
    mark = item.get_closest_marker("launch")
    return mark is not None and (hasattr(item, "launch_first_part") or bool(mark.kwargs.get("shutdown")))
