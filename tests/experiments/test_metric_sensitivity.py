"""Tests, with fully trained networks, that each metric responds to degraded images and swapped captions."""

from __future__ import annotations

import re

import pytest


@pytest.mark.slow
def test_metrics_move_as_they_should(command, tmp_path):
    process = command("experiments.metric_sensitivity", f"--data_dir={tmp_path}", "--num_pictures=2000")
    output, errors = process.communicate(timeout=3600)
    assert process.returncode == 0, errors
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in output.splitlines()]
    rows = {
        line[0]: dict(zip(header[1:], (float(re.match(r"-?[\d.e+-]+", cell)[0]) for cell in line[1:])))
        for line in lines
    }
    clean, swapped = rows["nothing"], rows["captions swapped"]
    for kinds in (("blur 0.5 px", "blur 1 px", "blur 2 px"), ("noise 8", "noise 24", "noise 64")):
        for name in ("FD/scenes", "KD/scenes"):
            values = [rows[kind][name] for kind in ("nothing", *kinds)]
            assert values == sorted(values), (name, kinds)
        for name in ("IS/scenes", "R-precision/scenes", "SOA-C/scenes", "SOA-I/scenes"):
            assert rows[kinds[-1]][name] < clean[name]
    assert clean["FD/scenes"] < 0.05 * rows["blur 2 px"]["FD/scenes"]
    assert abs(clean["KD/scenes"]) < 0.05 * rows["blur 2 px"]["KD/scenes"]
    for name in ("FD/scenes", "KD/scenes", "IS/scenes"):
        assert swapped[name] == clean[name]
    assert swapped["R-precision/scenes"] < 3 < 75 < clean["R-precision/scenes"]
    assert swapped["SOA-C/scenes"] < 30 < 98 < clean["SOA-C/scenes"]
