"""What is logged of a frame is in the recording, and the page comes from one port and from nowhere else."""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros.classes import CAMVID, LabelClass
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.images.health import Level
from squeeze_segnet_ros.view.recording import MAX_WIDTH, Figures, Recording, Timeline
from squeeze_segnet_ros.view.web import WebViewer
from support.rrd import rows, values

pytest.importorskip("rerun", reason="needs Rerun: pip install squeeze_segnet_ros[view]")

START = 1_700_000_000 * 10**9
ROAD = next(label.id for label in CAMVID.classes if label.name == "road")


def saved(path: Path, *, width: int = 64, timeline: Timeline = Timeline.STAMP, frames: int = 3) -> Path:
    figures = Figures([0] * ROAD + [36], 12, {"network": 0.02, "in all": 0.05}, {"in": 3, "labelled": 2})
    with Recording(["front", "rear left"], CAMVID.classes, timeline) as recording:
        recording.save(path)
        for index in range(frames):
            picture = np.full((width // 2, width, 3), (200, 30, 60), np.uint8)
            labels = np.full((16, 32), ROAD, np.uint8)
            time = START + index * 10**8 if timeline is Timeline.STAMP else index * 10**6
            recording.log_picture("front", time, picture, labels, labels)
            recording.log_figures("rear left", time, figures)
    return path


def test_pictures_labels_and_confidence_have_one_size(tmp_path: Path) -> None:
    found = rows(saved(tmp_path / "drive.rrd"))
    assert len(found["/scene/front/picture"]) == len(found["/scene/front/labels"]) == 3
    data = bytes(values(found["/scene/front/picture"][0], "blob")[0])
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (32, 64, 3)
    assert np.abs(picture[16, 32].astype(int) - (60, 30, 200)).max() < 8
    labels = bytes(values(found["/scene/front/labels"][0], "buffer")[0])
    assert labels == bytes([ROAD]) * 32 * 64
    confidence = bytes(values(found["/confidence/front"][0], "blob")[0])
    assert cv2.imdecode(np.frombuffer(confidence, np.uint8), cv2.IMREAD_UNCHANGED).shape == (32, 64)


def test_wide_pictures_are_shown_smaller(tmp_path: Path) -> None:
    found = rows(saved(tmp_path / "drive.rrd", width=2 * MAX_WIDTH, frames=1))
    data = bytes(values(found["/scene/front/picture"][0], "blob")[0])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (
        MAX_WIDTH // 2,
        MAX_WIDTH,
        3,
    )


def test_classes_have_their_names_and_colors(tmp_path: Path) -> None:
    context = values(rows(saved(tmp_path / "drive.rrd"))["/"][0], "context")[0]
    found = {each["class_id"]: each["class_description"]["info"] for each in context}
    for label in CAMVID.classes:
        assert found[label.id]["label"] == label.name
        assert found[label.id]["color"] >> 8 == int.from_bytes(bytes(label.rgb), "big")
    assert found[255]["color"] & 255 == 0  # nothing is drawn where there is no label


def test_shares_times_and_counts(tmp_path: Path) -> None:
    found = rows(saved(tmp_path / "drive.rrd"))
    shares = [row for row in found["/shares/rear\\ left"] if any(":scalars" in name for name in row)]
    assert values(shares[0], "scalars")[ROAD] == 75.0
    times = [row for row in found["/times/rear\\ left"] if any(":scalars" in name for name in row)]
    assert values(times[0], "scalars") == [20.0, 50.0]
    names = [row for row in found["/counts/rear\\ left"] if any(":names" in name for name in row)]
    assert values(names[0], "names") == ["in", "labelled"]


@pytest.mark.parametrize("timeline", list(Timeline))
def test_the_time_is_that_of_the_frame(tmp_path: Path, timeline: Timeline) -> None:
    labels = rows(saved(tmp_path / "drive.rrd", timeline=timeline))["/scene/front/labels"]
    assert len({row["stamp"] for row in labels}) == 3
    assert not {"log_time", "log_tick"} & labels[0].keys()


def test_a_finding_is_told_when_it_comes_and_when_it_goes(tmp_path: Path) -> None:
    with Recording(["front"], CAMVID.classes) as recording:
        recording.save(tmp_path / "drive.rrd")
        for index, text in enumerate(["frozen: 3 equal frames", "frozen: 4 equal frames", ""]):
            findings = [(Level.WARN, text)] if text else []
            recording.log_figures("front", START + index * 10**6, Figures([1], findings=findings))
    lines = rows(tmp_path / "drive.rrd")["/log/front"]
    told = [(values(line, "level")[0], values(line, "text")[0]) for line in lines]
    assert told == [("WARN", "front: frozen: 3 equal frames"), ("INFO", "front: frozen: over")]


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with (
        Recording(["front"], CAMVID.classes) as recording,
        pytest.raises(ConfigError, match="cannot be written"),
    ):
        recording.save(tmp_path / "no folder" / "drive.rrd")


def test_without_rerun_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ConfigError, match=r"pip install \"squeeze_segnet_ros\[view\]\""):
        Recording(["front"], (LabelClass(0, "road", (1, 2, 3)),))


# The page


@pytest.fixture(scope="module")
def web() -> Any:
    with WebViewer(port=0) as viewer:
        yield viewer


def ask(web: WebViewer, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    connection = HTTPConnection(str(urlsplit(web.address).hostname), urlsplit(web.address).port, timeout=20)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def test_the_page_asks_nobody_else(web: WebViewer) -> None:
    where = ask(web, "/").headers["Location"]
    assert unquote(where).startswith(f"/?url={web.address.replace('http', 'rerun+http')}/proxy")
    page = ask(web, where)
    policy = page.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in policy and "default-src 'none'" in policy and "https:" not in policy
    text = page.read().decode()
    assert "re_viewer" in text and "<link" in text
    assert "fonts.googleapis" not in text


def test_whoever_looks_may_not_write(web: WebViewer) -> None:
    write = "/rerun.sdk_comms.v1alpha1.MessageProxyService/WriteMessages"
    assert ask(web, write, "POST").status == 404


@pytest.mark.parametrize("headers", [{"Host": "elsewhere.example"}, {"Origin": "http://elsewhere.example"}])
def test_pages_of_others_are_refused(web: WebViewer, headers: dict[str, str]) -> None:
    assert ask(web, "/", **headers).status == 403


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "is taken: give another one with --port"),
        ({"bind": "everywhere"}, "--bind is 'everywhere': give an IP address"),
        ({"bind": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
    ],
)
def test_places_that_it_cannot_have_are_one_line(web: WebViewer, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        WebViewer(**{"port": urlsplit(web.address).port, **options})
