"""Inputs and outputs by URL: a store in memory, files, and a server that speaks S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.offline import storage

pytest.importorskip("fsspec", reason="needs fsspec: pip install 'squeeze_segnet_ros[fleet]'")


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """Return a folder that looks like bags to whoever does not open them."""
    for number in range(3):
        (tmp_path / "drives" / f"drive_{number}").mkdir(parents=True)
        (tmp_path / "drives" / f"drive_{number}" / "metadata.yaml").write_text("a bag")
        (tmp_path / "drives" / f"drive_{number}" / f"drive_{number}.mcap").write_bytes(b"data")
    (tmp_path / "drives" / "torn.mcap").write_bytes(b"nothing")
    return tmp_path / "drives"


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_bags_are_found_below_urls(drives: Path) -> None:
    names = [storage.name_of(url) for url in storage.bags_at(f"file://{drives}")]
    assert names == ["drive_0", "drive_1", "drive_2", "torn"]
    assert storage.bags_at(f"file://{drives}/drive_0") == [f"file://{drives}/drive_0"]
    with pytest.raises(ConfigError, match="cannot be read"):
        storage.bags_at(f"file://{drives}/nothing")


def check_store(url: str, drives: Path, tmp_path: Path) -> None:
    """Write to a store, list it, read it back, and remove it."""
    assert not storage.exists(f"{url}/drive_0")
    assert storage.read_text(f"{url}/summary.json") is None
    storage.store(drives, url, files_of(drives))
    names = [storage.name_of(each) for each in storage.bags_at(url)]
    assert names == ["drive_0", "drive_1", "drive_2", "torn"]
    assert all(storage.is_url(each) for each in storage.bags_at(url))
    (tmp_path / "back").mkdir()
    fetched = storage.fetch(f"{url}/drive_1", tmp_path / "back")
    assert files_of(fetched) == ["drive_1.mcap", "metadata.yaml"]
    assert storage.fetch(f"{url}/torn.mcap", tmp_path / "back").read_bytes() == b"nothing"
    storage.write_text(f"{url}/summary.json", "{}")
    assert storage.read_text(f"{url}/summary.json") == "{}"
    storage.write_text(f"{url}/summary.json", "{1}")
    assert storage.read_text(f"{url}/summary.json") == "{1}"
    storage.remove(f"{url}/drive_0")
    assert not storage.exists(f"{url}/drive_0")
    assert storage.exists(f"{url}/drive_1/metadata.yaml")


def test_a_store_in_memory(drives: Path, tmp_path: Path) -> None:
    check_store("memory://fleet/out", drives, tmp_path)


def test_files_by_url(drives: Path, tmp_path: Path) -> None:
    check_store(f"file://{tmp_path}/out", drives, tmp_path)


@pytest.mark.slow
def test_a_bucket(bucket: str, drives: Path, tmp_path: Path) -> None:
    check_store(f"{bucket}/out", drives, tmp_path)
    for ask in (storage.bags_at, lambda url: storage.store(drives, url, ["torn.mcap"])):
        with pytest.raises(ConfigError, match="s3://nobody-has-this/drives cannot be read or written: "):
            ask("s3://nobody-has-this/drives")


def test_a_store_of_an_unknown_kind_is_one_line() -> None:
    with pytest.raises(ConfigError, match="nothing://x cannot be read or written: ") as caught:
        storage.exists("nothing://x")
    assert "Protocol not known: nothing" in str(caught.value)
