"""The README says what the code does."""

import json
import re

import pytest

from squeeze_segnet_ros import models
from squeeze_segnet_ros.ros.config import settings


@pytest.fixture(scope="module")
def readme(request):
    return (request.config.rootpath / "README.md").read_text()


@pytest.mark.parametrize("setting", settings(), ids=lambda setting: setting.name)
def test_the_parameter_table_has_every_parameter_with_its_default(readme, setting):
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    assert f"| `{setting.name}` | `{json.dumps(default)}` |" in readme


def test_the_parameter_table_has_no_other_parameter(readme):
    rows = re.findall(r"^\| `([a-z_.]+)` \| `", readme, re.MULTILINE)
    assert rows == [setting.name for setting in settings()]


@pytest.mark.parametrize("name", models.names())
def test_every_network_is_listed(readme, name):
    assert f"`{name}`" in readme


def test_every_file_that_is_linked_exists(readme, request):
    for target in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (request.config.rootpath / target).exists(), target
