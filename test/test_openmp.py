"""How PyTorch's threads wait is set where nobody else has said it."""

from __future__ import annotations

import os

import pytest

from squeeze_segnet_ros.openmp import spin_briefly


@pytest.mark.parametrize(
    ("said", "spins"),
    [({}, "1000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None), ({"GOMP_SPINCOUNT": "7"}, "7")],
)
def test_the_environment_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], spins: str | None
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setitem(os.environ, name, "")
        monkeypatch.delitem(os.environ, name)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    spin_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == spins
