"""Street scenes: equal seeds give equal scenes, labels are exact, and the sample bag is as it should be."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import film, furniture, textures
from scenes.buildings import building, random_style
from scenes.drive import CAMERAS, drive, still
from scenes.layout import random_street
from scenes.meshes import Part, box, ellipsoid, tube
from scenes.people import Look, bicyclist, pedestrian
from scenes.street import Path as StreetPath
from scenes.street import Street
from scenes.vehicles import BODIES, vehicle
from squeeze_segnet_ros.bags import messages, open_bag
from squeeze_segnet_ros.classes import CAMVID, UNLABELLED
from squeeze_segnet_ros.data.to_bag import CAMERA_INFO_TOPIC, FRAME_ID, IMAGE_TOPIC, TRUTH_TOPIC

SAMPLE_BAG = Path(__file__).parents[2] / "rosbags" / "street_camvid"
MAX_BYTES = 8 * 10**6
CLASS = {name: index for index, name in enumerate(CAMVID.names)}
needs_mitsuba = pytest.mark.skipif(
    importlib.util.find_spec("mitsuba") is None,
    reason='Mitsuba 3 is not installed: pip install "squeeze_segnet_ros[scenes]"',
)


@pytest.fixture(scope="module")
def street() -> Street:
    return random_street(3, length=60.0)


def vertices(parts: list[Part]) -> np.ndarray:
    return np.concatenate([part.mesh.vertices for part in parts])


@pytest.mark.slow
def test_equal_seeds_give_equal_streets(street):
    again, other = random_street(3, length=60.0), random_street(4, length=60.0)
    assert [(p.material, p.label, p.shown) for p in again.parts] == [
        (p.material, p.label, p.shown) for p in street.parts
    ]
    np.testing.assert_array_equal(vertices(again.parts), vertices(street.parts))
    np.testing.assert_array_equal(vertices(again.at(1.5)), vertices(street.at(1.5)))
    np.testing.assert_array_equal(again.light.sky, street.light.sky)
    for name, image in street.images.items():
        np.testing.assert_array_equal(again.images[name], image, err_msg=name)
    assert len(other.parts) != len(street.parts) or not np.array_equal(other.light.sky, street.light.sky)


def test_a_street_is_well_formed_and_in_bounds(street):
    for part in [*street.parts, *street.at(0.0), *street.at(3.0)]:
        mesh = part.mesh
        count = len(mesh.vertices)
        assert mesh.normals.shape == mesh.colors.shape == (count, 3)
        assert mesh.uv.shape == (count, 2)
        assert mesh.faces.min() >= 0 and mesh.faces.max() < count
        assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.normals).all()
        assert mesh.colors.min() >= 0 and mesh.colors.max() <= 1
        assert part.label in range(len(CAMVID)) or part.label == UNLABELLED
        assert mesh.vertices[:, 2].min() > -1 and mesh.vertices[:, 2].max() < 40
        if part.material.startswith("tex:"):
            assert part.material[4:] in street.images
    for name, image in street.images.items():
        assert image.dtype == np.uint8 and image.ndim == 3 and image.std() > 0, name


def test_the_ground_lies_where_it_should(street):
    """The lane of the camera is road, and nothing stands in it but what moves."""
    for s in (5.0, 30.0):
        spot = street.path.locate(s, street.lane)
        for part in street.parts:
            if part.label in (CLASS["building"], CLASS["pole"], CLASS["fence"]):
                near = np.linalg.norm(part.mesh.vertices[:, :2] - spot[:2], axis=1) < 0.8
                assert not (near & (part.mesh.vertices[:, 2] < 2)).any(), part.material


def test_a_path_has_its_origin_at_0_and_left_is_positive():
    path = StreetPath(-10, 80, bend=0.3, wave=0.1, phase=1.0)
    np.testing.assert_allclose(path.locate(0.0, 0.0), [0, 0, 0], atol=1e-9)
    heading = float(path.heading(40.0))
    step = path.locate(40.0, 2.0) - path.locate(40.0, 0.0)
    np.testing.assert_allclose(step, [-2 * np.sin(heading), 2 * np.cos(heading), 0], atol=1e-9)
    ahead = path.locate(np.array([20.0, 20.5]), 0.0)
    assert np.linalg.norm(ahead[1] - ahead[0]) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("kind", list(BODIES))
def test_a_vehicle_has_its_size_and_stands_on_the_ground(kind):
    points = vertices(vehicle(np.random.default_rng(0), kind))
    length, width, height = np.ptp(points, axis=0)
    body = BODIES[kind]
    assert length == pytest.approx(body.length, abs=0.4)
    assert width == pytest.approx(body.width, abs=0.4)
    assert points[:, 2].min() == pytest.approx(0, abs=0.05)
    assert height == pytest.approx(max(z for _, z in body.top), abs=0.1)


def test_people_walk_and_ride():
    look = Look(np.random.default_rng(1))
    standing, walking = (vertices(pedestrian(look, phase)) for phase in (None, 1.2))
    assert standing[:, 2].max() == pytest.approx(look.height, abs=0.08)
    assert abs(standing[:, 2].min()) < 0.05
    assert np.ptp(walking[:, 0]) > np.ptp(standing[:, 0]) + 0.2
    assert {part.label for part in bicyclist(look, 0.0)} == {CLASS["bicyclist"]}


@pytest.mark.parametrize("season", ["summer", "autumn", "bare", "evergreen"])
def test_a_tree_has_about_its_height(season):
    parts = furniture.tree(np.random.default_rng(2), 8.0, season)
    assert {part.label for part in parts} == {CLASS["tree"]}
    assert 6 < vertices(parts)[:, 2].max() < 14


@pytest.mark.parametrize("kind", ["shops", "terrace", "offices"])
def test_a_building_fills_its_plot(kind):
    rng = np.random.default_rng(5)
    style = random_style(rng, kind, 6, 3)
    points = vertices([p for p in building(rng, style, 9.0, 8.0) if p.label == CLASS["building"]])
    assert points[:, 0].min() > -0.5 and points[:, 0].max() < 9.5
    assert points[:, 1].min() > -1.5 and points[:, 1].max() < 8.7
    assert points[:, 2].max() > style.floors * style.floor_height * 0.9


@pytest.mark.parametrize(
    "mesh",
    [box((0, 0, 0), (1, 2, 3)), ellipsoid((0, 0, 0), 1.0), tube([(0, 0, 0), (0, 0, 2)], 0.3)],
)
def test_normals_point_away_from_the_middle(mesh):
    outward = ((mesh.vertices - mesh.vertices.mean(0)) * mesh.normals).sum(1)
    signs = np.sign(outward[np.abs(outward) > 1e-6])
    assert (signs == signs[0]).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)


def test_textures_tile():
    """Across the edge, a tile differs from itself no more than inside."""
    image = textures.noise(np.random.default_rng(0), (128, 128), (4, 4))
    seam = np.abs(image[0] - image[-1]).mean()
    inside = np.abs(np.diff(image, axis=0)).mean()
    assert seam < 2 * inside


@pytest.mark.slow
def test_a_drive_is_smooth_and_ten_frames_make_a_second():
    view_at = drive(3, 20)
    poses = [view_at(frame, 0.0).pose for frame in range(20)]
    steps = np.linalg.norm(np.diff([pose.position for pose in poses], axis=0), axis=1)
    assert steps.min() > 0.6 and steps.max() < 1.0
    assert np.abs(np.diff([pose.yaw for pose in poses])).max() < np.radians(2)
    assert view_at(10, 0.0).time == pytest.approx(1.0)
    left = view_at(0, CAMERAS["front_left"]).pose.yaw - view_at(0, 0.0).pose.yaw
    assert left == pytest.approx(np.radians(55))


def test_the_film_brings_the_street_to_its_exposure():
    rng = np.random.default_rng(0)
    radiance = rng.uniform(0.01, 0.4, (60, 80, 3)).astype(np.float32)
    look = film.Film(exposure=0.4, contrast=0.0, noise=0.0, vignette=0.0, veil=0.0, blur=0.3)
    ground = np.ones((60, 80), bool)
    for factor in (1.0, 7.0):
        image = look.develop(rng, radiance * factor, look.meter(radiance * factor, ground))
        assert image.dtype == np.uint8
        assert np.median(image) / 255 == pytest.approx(0.4, abs=0.05)


def test_denoising_keeps_surfaces_and_calms_the_light():
    rng = np.random.default_rng(0)
    albedo = np.full((48, 64, 3), 0.1)
    albedo[:, 32:] = 0.8
    normal = np.broadcast_to([0.0, 0.0, 1.0], albedo.shape)
    depth = np.full(albedo.shape[:2], 5.0)
    noisy = albedo * rng.gamma(4.0, 0.25, albedo.shape)
    calm = film.denoise(noisy, albedo, normal, depth)
    left, right = calm[:, :30], calm[:, 34:]
    assert left.std() < 0.3 * noisy[:, :30].std() and right.std() < 0.3 * noisy[:, 34:].std()
    assert right.mean() / left.mean() > 5


@pytest.fixture(scope="module")
def sample() -> dict[str, dict[int, bytes]]:
    """Return the sample bag's messages: topic -> stamp (ns) -> serialized message."""
    found: dict[str, dict[int, bytes]] = {}
    with open_bag(SAMPLE_BAG) as bag:
        for topic, stamp, _, data in bag.messages():
            assert messages.stamp_ns(data) == stamp
            found.setdefault(topic, {})[stamp] = data
    return found


def test_the_sample_bag_is_small_and_long_enough(sample):
    assert set(sample) == {IMAGE_TOPIC, CAMERA_INFO_TOPIC, TRUTH_TOPIC}
    assert sum(file.stat().st_size for file in SAMPLE_BAG.iterdir()) < MAX_BYTES
    stamps = sorted(sample[IMAGE_TOPIC])
    assert len(stamps) >= 100
    assert set(np.diff(stamps)) == {10**8}
    assert list(sample[CAMERA_INFO_TOPIC]) == list(sample[TRUTH_TOPIC]) == stamps


def test_the_sample_bag_shows_every_class(sample):
    frames: Counter[int] = Counter()
    for stamp, data in sample[TRUTH_TOPIC].items():
        labels = messages.decode_image(data, messages.COMPRESSED_IMAGE)
        assert labels.shape == (360, 480) and labels.dtype == np.uint8
        values, counts = np.unique(labels, return_counts=True)
        assert set(values) <= {*range(len(CAMVID)), UNLABELLED}, stamp
        frames.update(int(value) for value, count in zip(values, counts, strict=True) if count >= 20)
    assert {CAMVID.names[value]: frames[value] for value in range(len(CAMVID)) if frames[value] < 25} == {}


def test_the_sample_bag_has_pictures_and_a_calibrated_camera(sample):
    store = messages.typestore()
    for stamp in list(sample[IMAGE_TOPIC])[::20]:
        image = messages.decode_image(sample[IMAGE_TOPIC][stamp], messages.COMPRESSED_IMAGE)
        assert image.shape == (360, 480, 3)
        assert 50 < image.mean() < 190 and image.std() > 30
        info = store.deserialize_cdr(sample[CAMERA_INFO_TOPIC][stamp], messages.CAMERA_INFO)
        assert (info.width, info.height, info.distortion_model) == (480, 360, "plumb_bob")
        assert info.header.frame_id == FRAME_ID
        np.testing.assert_allclose(info.k, [440, 0, 239.5, 0, 440, 179.5, 0, 0, 1])
        assert not info.d.any()


def test_without_mitsuba_the_command_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['mitsuba'] = None; from squeeze_segnet_ros.__main__ import main; "
    code += f"sys.exit(main(['render', 'stills', '--count', '1', '--output', {str(tmp_path / 'x')!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "squeeze_segnet_ros[scenes]"' in done.stderr
    assert not (tmp_path / "x").exists()


@needs_mitsuba
def test_a_rendered_view_has_labels_that_fit_the_picture():
    from scenes.render import picture
    from scenes.renderer import Renderer

    view = still(7, film.Lens(64, 48))
    renderer = Renderer(view.street)
    image, labels, gain = picture(renderer, view, samples=2, seed=1)
    assert image.shape == (48, 64, 3) and labels.shape == (48, 64) and gain > 0
    assert {*np.unique(labels)} <= {*range(len(CAMVID)), UNLABELLED}
    assert (labels == CLASS["road"]).mean() > 0.05
    assert image[labels == CLASS["sky"]].mean() > image[labels == CLASS["road"]].mean()
    again, same, _ = picture(renderer, view, samples=2, seed=1)
    np.testing.assert_array_equal(labels, same)
    assert np.abs(image.astype(int) - again).mean() < 1


@needs_mitsuba
def test_rendered_stills_have_camvids_layout(tmp_path):
    from squeeze_segnet_ros.__main__ import main

    arguments = ["render", "stills", "--count", "1", "--samples", "1", "--size", "64x48", "--seed", "5"]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    images, labels = (sorted((tmp_path / name).iterdir()) for name in ("train", "trainannot"))
    assert [p.name for p in images] == [p.name for p in labels] == ["scene_000005.png"]
    assert cv2.imread(str(labels[0]), cv2.IMREAD_UNCHANGED).shape == (48, 64)
