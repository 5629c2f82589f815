"""The command that measures hybrid search, on small data of the same form."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.errors import UsageError
from imagerag.evals.libraries import hybrid_search
from imagerag.tools.registry import make_embedder


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Three folders of images around a direction each, and names of things around the same directions."""
    chance = np.random.default_rng(0)
    centres = np.eye(3, 24)
    folders = np.repeat(np.arange(3), 40)
    np.save(tmp_path / "images_629_vitb32.npy", centres[folders] + chance.normal(0, 0.2, (120, 24)))
    (tmp_path / "images_629_folders.json").write_text(json.dumps([f"folder {one}" for one in folders]))
    things = np.repeat(np.arange(4), 90)
    near = np.concatenate([centres, np.zeros((1, 24))])[things]
    np.save(tmp_path / "texts_lvis_1203_vitb32.npy", near + chance.normal(0, 0.3, (360, 24)))
    (tmp_path / "texts_lvis_1203_names.json").write_text(json.dumps([f"thing_{at}" for at in range(360)]))
    return tmp_path


def test_the_recorded_vectors(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["hybrid_search", "clip", str(recorded)])
    assert hybrid_search.main() == 0
    shown = capsys.readouterr().out
    assert "120 queries\n" in shown
    for way in ("image alone", "caption alone", "words alone", "scores, calibrated", "threshold by either"):
        assert way in shown


async def test_calibrated_weights_are_never_surely_worse_than_the_best_list(recorded: Path) -> None:
    found = await hybrid_search.recorded_clip(recorded)
    rows = {row.way: row for row in hybrid_search.compare(found.judged)}
    best = max(row.ndcg for way, row in rows.items() if way.endswith("alone"))
    calibrated = rows["scores, calibrated"]
    assert calibrated.difference.mean == pytest.approx(calibrated.ndcg - best, abs=1e-6)
    assert calibrated.difference.high >= 0
    assert found.cosines.own.shape == (120, 2)


async def test_photos_need_descriptions(tmp_path: Path) -> None:
    embedder = make_embedder("sketch")
    with (tmp_path / "labels.csv").open("w", newline="") as labels:
        rows = csv.writer(labels)
        rows.writerow(["path", "label", "description"])
        for at in range(4):
            Image.new("RGB", (64, 64), (60 * at, 90, 120)).save(tmp_path / f"{at}.png")
            rows.writerow([f"{at}.png", f"Card {at}", "" if at else "A blue card."])
    with pytest.raises(UsageError, match="too few described photos"):
        await hybrid_search.photos(tmp_path, embedder, embedder)
