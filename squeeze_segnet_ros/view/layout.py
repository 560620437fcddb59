"""Where what is shown of a frame lies in a Rerun recording, and how the page is laid out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from squeeze_segnet_ros.errors import ConfigError, one_line

TIMELINE = "stamp"
_WITH_CONFIDENCE = 2
"""Up to so many cameras are shown with their confidence; of more it is behind a tab."""


def library() -> Any:
    """Return Rerun's module.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import rerun
        import rerun.blueprint
    except ImportError as error:
        raise ConfigError(
            f'the view needs Rerun ({one_line(error)}): pip install "squeeze_segnet_ros[view]" '
            "(Python 3.11 or newer)"
        ) from None
    # Otherwise what is wrong with a call is a warning among others, and the data is missing.
    rerun.set_strict_mode(True)
    return rerun


class Paths(NamedTuple):
    """The entities of a camera."""

    scene: str
    picture: str
    labels: str
    confidence: str
    shares: str
    times: str
    counts: str
    log: str


def paths(camera: str) -> Paths:
    """Return where what is shown of a camera lies."""
    name = library().escape_entity_path_part(camera)
    scene = f"/scene/{name}"
    below = (f"/{kind}/{name}" for kind in ("confidence", "shares", "times", "counts", "log"))
    return Paths(scene, f"{scene}/picture", f"{scene}/labels", *below)


def short_names(cameras: Sequence[str]) -> list[str]:
    """Return what to call cameras on a page: a part of their topics, where one tells them apart."""
    for part in (-2, -1):
        names = [([""] + camera.strip("/").split("/"))[part] for camera in cameras]
        if all(names) and len(set(names)) == len(names):
            return names
    return [camera.strip("/") for camera in cameras]


def blueprint(cameras: Sequence[str], live: bool) -> Any:
    """Return the page for 1 to about 6 cameras: their pictures above, figures and findings below.

    Args:
        cameras: what to call each.
        live: whether to follow what comes.
    """
    parts = library().blueprint
    scenes, confidences = [], []
    for camera in cameras:
        entities = paths(camera)
        scenes.append(parts.Spatial2DView(origin=entities.scene, name=camera))
        confidences.append(parts.Spatial2DView(origin=entities.confidence, name=f"{camera}: confidence"))
    if len(cameras) <= _WITH_CONFIDENCE:
        pictures = parts.Grid(*scenes, *confidences, grid_columns=2)
    else:
        columns = 2 if len(cameras) <= 4 else 3
        pictures = parts.Tabs(
            parts.Grid(*scenes, grid_columns=columns, name="labels"),
            parts.Grid(*confidences, grid_columns=columns, name="confidence"),
        )

    def plots(kind: str, title: str, **style: Any) -> Any:
        views = [
            parts.TimeSeriesView(
                origin=getattr(paths(camera), kind),
                name=title if len(cameras) == 1 else f"{title}: {camera}",
                plot_legend=parts.PlotLegend(parts.Corner2D.LeftTop),
                **style,
            )
            for camera in cameras
        ]
        return views[0] if len(views) == 1 else parts.Tabs(*views, name=title)

    columns = parts.TextLogColumns(timeline_columns=[TIMELINE], text_log_columns=["loglevel", "body"])
    figures = parts.Horizontal(
        plots("shares", "class shares in %"),
        plots("times", "time in ms"),
        plots("counts", "frames"),
        parts.TextLogView(origin="/log", name="findings", columns=columns),
        column_shares=[3, 2, 2, 2],
    )
    return parts.Blueprint(
        parts.Vertical(pictures, figures, row_shares=[5, 3]),
        parts.BlueprintPanel(state="collapsed"),
        parts.SelectionPanel(state="collapsed"),
        # What loops does not follow.
        parts.TimePanel(
            state="collapsed",
            timeline=TIMELINE,
            play_state="following" if live else "playing",
            loop_mode="off" if live else "all",
        ),
        auto_views=False,
        auto_layout=False,
    )
