"""Textures and skies, drawn from random numbers. All are uint8 (H, W, 3) sRGB unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Rng = np.random.Generator
Color = Sequence[float] | np.ndarray


def noise(
    rng: Rng, shape: tuple[int, int], cells: tuple[int, int], octaves: int = 4, gain: float = 0.5
) -> np.ndarray:
    """Return tileable fractal noise, mean 0, deviation 1, float (H, W); ``cells`` of the coarsest octave."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        rows, columns = (min(n << octave, size) for n, size in zip(cells, shape, strict=True))
        grid = np.pad(rng.standard_normal((rows, columns)).astype(np.float32), 2, mode="wrap")
        y = (np.arange(shape[0], dtype=np.float32) + 0.5) * rows / shape[0] + 1.5
        x = (np.arange(shape[1], dtype=np.float32) + 0.5) * columns / shape[1] + 1.5
        map_x, map_y = np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)
        smooth = cv2.remap(grid, np.ascontiguousarray(map_x), np.ascontiguousarray(map_y), cv2.INTER_CUBIC)
        total += gain**octave * smooth
    return (total - total.mean()) / max(float(total.std()), 1e-6)


def _finish(base: Color, shade: np.ndarray) -> np.ndarray:
    color = np.asarray(base, np.float32) * shade[..., None]
    return (np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)


def _write(
    image: np.ndarray,
    text: str,
    place: tuple[int, int],
    font: int,
    scale: float,
    color: Color,
    thickness: int,
) -> None:
    """Write on a float image; OpenCV does so on bytes only."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.putText(mask, text, place, font, scale, 255, thickness, cv2.LINE_AA)
    alpha = mask[..., None] / np.float32(255)
    image[:] = image * (1 - alpha) + alpha * np.asarray(color, np.float32)


def plaster(rng: Rng, color: Color, size: int = 512) -> np.ndarray:
    """Return a rendered wall: faint grain, stains and rain streaks."""
    shade = 1 + 0.02 * noise(rng, (size, size), (64, 64), 3) + 0.045 * noise(rng, (size, size), (3, 4), 4)
    streaks = noise(rng, (size, size), (2, 48), 3)
    return _finish(color, shade - 0.05 * np.maximum(streaks - 0.6, 0))


def brick(
    rng: Rng, color: Color, size: int = 768, tile: float = 3.6, unit: tuple[float, float] = (0.225, 0.075)
) -> np.ndarray:
    """Return brick or ashlar in running bond; ``tile`` and ``unit`` (length, height) in meters."""
    columns, rows = round(tile / unit[0]), round(tile / unit[1])
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    row = np.floor(y * rows).astype(int)
    along = x * columns + 0.5 * (row % 2)
    column = np.floor(along).astype(int) % columns
    tint = rng.normal(0, 0.09, (rows, columns, 1)) + rng.normal(0, 0.03, (rows, columns, 3))
    tint -= 0.25 * (rng.random((rows, columns, 1)) < 0.05)
    fy, fx = y * rows % 1, along % 1
    joint = (fy < 0.010 / unit[1]) | (fx < 0.010 / unit[0])
    base = np.asarray(color, np.float32) * (1 + tint[row % rows, column])
    mortar = 0.45 * np.asarray(color, np.float32) + 0.55 * np.array([0.55, 0.53, 0.49], np.float32)
    base = np.where(joint[..., None], mortar, base)
    stains = 1 + 0.06 * noise(rng, (size, size), (2, 3), 4) + 0.04 * noise(rng, (size, size), (96, 96), 2)
    return _finish(base, stains)


def roof_tiles(rng: Rng, color: Color, size: int = 512) -> np.ndarray:
    """Return slates or tiles: rows with a shadow line; the tile is about 3 m wide."""
    rows, columns = 14, 12
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    row = np.floor(y * rows).astype(int)
    column = np.floor(x * columns + 0.5 * (row % 2)).astype(int) % columns
    shade = 1 + rng.normal(0, 0.1, (rows, columns))[row, column]
    shade -= 0.35 * ((y * rows % 1) < 0.13) + 0.2 * ((x * columns + 0.5 * (row % 2)) % 1 < 0.05)
    return _finish(color, shade + 0.08 * noise(rng, (size, size), (3, 3), 5))


def paving(rng: Rng, color: Color, size: int = 512, slabs: int = 8) -> np.ndarray:
    """Return sidewalk slabs with joints, stains and chewing gum."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    row = np.floor(y * slabs).astype(int)
    along = x * slabs * 0.75 + 0.5 * (row % 2)
    shade = 1 + rng.normal(0, 0.06, (slabs, slabs))[row, np.floor(along).astype(int) % slabs]
    shade -= 0.3 * (((y * slabs) % 1 < 0.035) | (along % 1 < 0.03))
    shade += 0.05 * noise(rng, (size, size), (3, 3), 6) + 0.04 * noise(rng, (size, size), (128, 128), 2)
    spots = np.zeros((size, size), np.float32)
    for cx, cy, r in rng.integers(0, [size, size, 3], (60, 3)):
        cv2.circle(spots, (int(cx), int(cy)), int(r) + 1, 1.0, -1)
    return _finish(color, shade - 0.12 * spots)


def grass(rng: Rng, color: Color = (0.30, 0.36, 0.16), size: int = 512) -> np.ndarray:
    """Return a lawn with worn and lush patches."""
    shade = 1 + 0.22 * noise(rng, (size, size), (128, 128), 2) + 0.13 * noise(rng, (size, size), (4, 4), 5)
    dry = np.clip(0.5 + 0.35 * noise(rng, (size, size), (5, 5), 4), 0, 1)[..., None]
    base = np.asarray(color, np.float32) * (1 - 0.5 * dry) + 0.5 * dry * np.array(
        [0.42, 0.38, 0.24], np.float32
    )
    return _finish(base, shade)


def fascias(rng: Rng, count: int = 8) -> np.ndarray:
    """Return an atlas of ``count`` shop fascias, one above the other: invented names on painted boards."""
    names = (
        "BAKERY,CAFE ROMA,NEWS & POST,THE CROWN,Flowers,BOOKSHOP,Fish & Chips,CYCLES,Pharmacy,DRY CLEANERS,"
    )
    names += "Barber,SHOE REPAIRS,WINES,Travel,Estate Agents,PIZZA"
    fonts = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX)
    rows = []
    for word in rng.permutation(names.split(","))[:count]:
        ground = np.array([rng.choice([0.1, 0.25, 0.5, 0.75]), *rng.uniform(0.05, 0.5, 2)])
        rng.shuffle(ground)
        board = np.full((64, 512, 3), ground, np.float32)
        ink = (0.92, 0.9, 0.84) if ground.mean() < 0.45 else (0.1, 0.1, 0.12)
        font = int(rng.choice(fonts))
        (width, _), _ = cv2.getTextSize(word, font, 1.5, 3)
        _write(board, word, ((512 - width) // 2, 46), font, 1.5, ink, 3)
        board[:3] = board[-3:] = ground * 0.5
        rows.append(board)
    atlas = np.concatenate(rows)
    return _finish(atlas, np.ones(atlas.shape[:2], np.float32))


def shop_interiors(rng: Rng, count: int = 4) -> np.ndarray:
    """Return an atlas, side by side, of dim shop windows: shelves, goods, posters, lamps."""
    panes = []
    for _ in range(count):
        pane = np.full((256, 256, 3), rng.uniform(0.03, 0.10), np.float32)
        pane *= np.linspace(1.6, 0.7, 256, dtype=np.float32)[:, None, None]
        for shelf in (110, 165, 220):
            x = 4
            while x < 250:
                w, h = int(rng.integers(6, 22)), int(rng.integers(10, 46))
                if rng.random() < 0.75:
                    tone = tuple(float(v) for v in rng.uniform(0.04, 0.38, 3))
                    cv2.rectangle(pane, (x, shelf - h), (x + w, shelf), tone, -1)
                x += w + int(rng.integers(0, 8))
            cv2.line(pane, (0, shelf), (255, shelf), (0.12, 0.11, 0.1), 2)
        for _ in range(int(rng.integers(0, 3))):
            x, y = (int(v) for v in rng.integers(10, 180, 2))
            cv2.rectangle(
                pane, (x, y), (x + 46, y + 62), tuple(float(v) for v in rng.uniform(0.2, 0.8, 3)), -1
            )
            cv2.rectangle(pane, (x + 8, y + 8), (x + 38, y + 26), (0.8, 0.8, 0.75), -1)
        for x in range(20, 250, 50):
            cv2.circle(pane, (x, 22), 4, (0.9, 0.85, 0.65), -1)
        panes.append(cv2.GaussianBlur(pane, (0, 0), 0.8))
    atlas = np.concatenate(panes, 1)
    return _finish(atlas, np.ones(atlas.shape[:2], np.float32))


SIGN_FACES = ("speed", "no_entry", "give_way", "board", "arrow", "parking", "advert", "banner")


def sign_faces(rng: Rng) -> np.ndarray:
    """Return an atlas of 128-pixel sign faces, side by side, in the order of ``SIGN_FACES``."""
    red, white, blue, black = (0.7, 0.07, 0.09), (0.85, 0.85, 0.85), (0.08, 0.2, 0.55), (0.06, 0.06, 0.06)
    faces = {name: np.zeros((128, 128, 3), np.float32) for name in SIGN_FACES}
    font = cv2.FONT_HERSHEY_DUPLEX
    cv2.circle(faces["speed"], (64, 64), 64, red, -1)
    cv2.circle(faces["speed"], (64, 64), 48, white, -1)
    _write(faces["speed"], str(rng.choice([20, 30, 40])), (26, 84), font, 2, black, 6)
    cv2.circle(faces["no_entry"], (64, 64), 66, red, -1)
    cv2.rectangle(faces["no_entry"], (20, 52), (108, 76), white, -1)
    faces["give_way"][:] = red
    triangle = np.array([[22, 22], [106, 22], [64, 96]])
    cv2.fillPoly(faces["give_way"], [triangle], white)
    faces["board"][:] = rng.choice(np.array([[0.02, 0.25, 0.14], [0.85, 0.85, 0.85], [0.05, 0.2, 0.5]]))
    ink = black if faces["board"].mean() > 0.5 else white
    for y, word in zip(
        (34, 68, 102), rng.permutation(["Station", "City centre", "Park", "Hospital"]), strict=False
    ):
        _write(faces["board"], word, (8, y), font, 0.62, ink, 2)
    cv2.rectangle(faces["board"], (3, 3), (124, 124), ink, 2)
    cv2.circle(faces["arrow"], (64, 64), 66, blue, -1)
    cv2.arrowedLine(faces["arrow"], (96, 34), (34, 96), white, 14, cv2.LINE_AA, tipLength=0.4)
    faces["parking"][:] = blue
    _write(faces["parking"], "P", (34, 100), font, 3.4, white, 10)
    advert = np.asarray(rng.uniform(0.1, 0.8, 3), np.float32)
    faces["advert"][:] = advert * np.linspace(0.6, 1.2, 128, dtype=np.float32)[:, None, None]
    cv2.circle(
        faces["advert"], (64, 56), 34, tuple(float(v) for v in rng.uniform(0.2, 0.9, 3)), -1, cv2.LINE_AA
    )
    _write(faces["advert"], "NEW", (30, 118), font, 1.1, white, 3)
    faces["banner"][:] = rng.uniform(0.15, 0.6, 3)
    cv2.rectangle(faces["banner"], (20, 12), (108, 60), white, -1)
    atlas = np.concatenate([faces[name] for name in SIGN_FACES], 1)
    return _finish(atlas, 0.93 + 0.03 * noise(rng, atlas.shape[:2], (2, 16), 4))


def number_plates(rng: Rng) -> np.ndarray:
    """Return an atlas of two plates side by side: white for the front, yellow for the rear."""
    plates = []
    for ground in ((0.85, 0.85, 0.82), (0.85, 0.65, 0.1)):
        plate = np.full((32, 128, 3), ground, np.float32)
        text = "".join(rng.choice(list("ABCDEFGHKLMNPRSTVWXY"), 4)) + str(rng.integers(10, 99))
        _write(plate, text, (8, 25), cv2.FONT_HERSHEY_DUPLEX, 0.85, (0.05, 0.05, 0.05), 2)
        plates.append(plate)
    atlas = np.concatenate(plates, 1)
    return _finish(atlas, np.ones(atlas.shape[:2], np.float32))


def asphalt(rng: Rng, shape: tuple[int, int], pixels_per_meter: float, tone: float) -> np.ndarray:
    """Return a road surface without markings, float (H, W, 3) sRGB 0..1: rows run along the road.

    Aggregate, wheel tracks, oil along the lanes' middle, patches of other ages, cracks and manhole covers.
    """
    rows, columns = shape
    size = 512
    grain = 0.8 * noise(rng, (size, size), (size, size), 1) + 0.5 * noise(rng, (size, size), (170, 170), 1)
    grain = np.tile(grain, (rows // size + 1, columns // size + 1))[:rows, :columns]
    blotch = noise(rng, (rows, columns), (max(2, rows // 220), 2), 5)
    u = np.linspace(0, 1, columns, dtype=np.float32)
    tracks = sum(np.exp(-(((u - c) / 0.035) ** 2)) for c in (0.14, 0.36, 0.64, 0.86))
    oil = sum(np.exp(-(((u - c) / 0.05) ** 2)) for c in (0.25, 0.75))
    shade = tone * (1 + 0.075 * grain + 0.07 * blotch + 0.06 * tracks - 0.07 * oil)
    for _ in range(max(2, rows // 900)):
        h, w = int(rng.uniform(1, 9) * pixels_per_meter), int(rng.uniform(0.6, 2.5) * pixels_per_meter)
        y, x = int(rng.integers(0, max(1, rows - h))), int(rng.integers(0, max(1, columns - w)))
        shade[y : y + h, x : x + w] *= rng.uniform(0.8, 1.15)
        cv2.rectangle(shade, (x, y), (x + w, y + h), tone * 0.6, 1)
    for _ in range(rows // 500):
        steps = np.cumsum(rng.normal([0, 4], [4, 5], (30, 2)), 0) + [
            rng.uniform(0, columns),
            rng.uniform(0, rows),
        ]
        cv2.polylines(shade, [steps.astype(np.int32)], False, tone * 0.6, 1, cv2.LINE_AA)
    for _ in range(max(1, rows // 1100)):
        center = (int(rng.uniform(0.2, 0.8) * columns), int(rng.integers(0, rows)))
        cv2.circle(shade, center, int(0.32 * pixels_per_meter), tone * 0.55, -1, cv2.LINE_AA)
        cv2.circle(shade, center, int(0.36 * pixels_per_meter), tone * 1.25, 1, cv2.LINE_AA)
    return np.clip(shade[..., None] * np.array([1.0, 1.0, 1.02], np.float32), 0, 1)


def sky(
    rng: Rng, sun: np.ndarray, cover: float, haze: float, shape: tuple[int, int] = (256, 512)
) -> np.ndarray:
    """Return the sky's radiance without the sun's disc, linear float32 (H, W, 3), equirectangular.

    Rows run from the zenith to the nadir and columns once around, the world's +x in the middle and +y (left)
    at a quarter. ``sun`` is the unit direction to the sun, ``cover`` 0..1 the share of clouds,
    ``haze`` 0..1 whitens the horizon. A white diffuser facing a clear sky would be about 1.
    """
    rows, columns = shape
    elevation = (0.5 - (np.arange(rows, dtype=np.float32) + 0.5) / rows) * np.pi
    azimuth = (0.5 - (np.arange(columns, dtype=np.float32) + 0.5) / columns) * 2 * np.pi
    e, a = np.meshgrid(elevation, azimuth, indexing="ij")
    direction = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1)
    height = np.clip(np.sin(e), 0.0, 1)
    angle = np.clip(direction @ np.asarray(sun, np.float32), -1, 1)
    zenith, horizon = np.array([0.13, 0.26, 0.58], np.float32), np.array([0.62, 0.75, 0.92], np.float32)
    horizon = horizon * (1 - haze) + haze * np.array([1.0, 1.0, 0.98], np.float32)
    fall = np.exp(-height / (0.16 + 0.25 * haze))[..., None]
    blue = zenith * (1 - fall) + horizon * fall
    glow = 0.35 * np.exp((angle - 1) * 3) + 1.4 * np.exp((angle - 1) * 28)
    blue = blue + glow[..., None] * np.array([1.0, 0.93, 0.8], np.float32)
    # Clouds on a plane above: the same noise, stretched toward the horizon by the perspective.
    plane = noise(rng, (1024, 1024), (5, 5), 7, 0.55)
    reach = 1 / np.maximum(np.sin(e), 0.05)
    x = (np.cos(e) * np.cos(a) * reach * 110 + 512) % 1024
    y = (np.cos(e) * np.sin(a) * reach * 110 + 512) % 1024
    density = cv2.remap(
        plane, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    threshold = 2.0 - 4.2 * cover
    alpha = np.clip((density - threshold) / 1.3, 0, 1)[..., None] * (1 - np.exp(-height * 14))[..., None]
    lit = (
        0.8
        + 0.5 * np.exp((angle - 1) * 2)[..., None]
        - 0.3 * np.clip((density - threshold) / 3, 0, 1)[..., None]
    )
    clouds = lit * np.array([0.98, 1.0, 1.02], np.float32)
    image = blue * (1 - alpha) + clouds * alpha
    ground = np.array([0.10, 0.10, 0.09], np.float32)
    return np.where((e > 0)[..., None], 1.7 * image, ground).astype(np.float32)
