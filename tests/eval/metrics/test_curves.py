"""The plot of FID against the number of images."""

from __future__ import annotations

import numpy as np
from PIL import Image

from eval.metrics import curves, frechet


def test_the_plot(tmp_path):
    path = tmp_path / "curve.png"
    path.write_bytes(b"of an earlier evaluation")
    points = [frechet.CurvePoint(count, 0.2 + 900 / count) for count in (1000, 2000, 5000, 20_000, 30_000)]
    curves.save_curve(path, points, 0.2, "FD/scenes, step 500")
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    star_y, star_x = (np.mean(where) for where in np.nonzero((red > 180) & (green < 70) & (blue < 70)))
    dots_y, dots_x = np.nonzero((blue > 150) & (red < 60))
    # The limit is drawn left of all points and below them.
    assert star_x < dots_x.min() + 60 and star_y > np.median(dots_y)
    assert dots_y[dots_x == dots_x.max()].mean() < star_y
    assert [file.name for file in tmp_path.iterdir()] == ["curve.png"]
