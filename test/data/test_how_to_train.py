"""The commands of docs/how_to/train_on_your_streets.md, one after the other, on the sample bag."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.classes import label_set
from squeeze_segnet_ros.models import weights

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how_to" / "train_on_your_streets.md"


def commands(tmp_path):
    """Yield the arguments of each command of the package, with files below a folder of the test."""
    text = PAGE.read_text().partition("## From the start")[0]  # what follows takes hours
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line.replace("build/streets", str(tmp_path / "streets")))
            if words[:3] == ["python", "-m", "squeeze_segnet_ros"]:
                yield words[3:]
            else:
                # The node takes the weights as any others: test_own_classes_launch.py.
                assert words[:2] == ["ros2", "launch"]


@pytest.mark.slow
def test_the_page_leads_from_a_bag_to_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    # As few and as small steps as there can be; all else is as the page has it.
    recipe = yaml.safe_load((ROOT / "config" / "train" / "fine_tune.yaml").read_text())
    recipe |= {"steps": 1, "batch_size": 2, "evaluate_every": 1}
    recipe["augment"]["crop"] = [32, 48]
    (tmp_path / "fine_tune.yaml").write_text(yaml.safe_dump(recipe))
    ran = []
    for words in commands(tmp_path):
        words = [word.replace("config/train/fine_tune.yaml", f"{tmp_path}/fine_tune.yaml") for word in words]
        words += ["--device", "cpu"] if words[0] in ("train", "evaluate") or "extract" in words else []
        assert main(words) == 0, words
        ran.append(words[0])
    assert ran == ["data", "data", "data", "train", "evaluate"]
    said = capsys.readouterr().out
    assert "5 frames to train on, 1 to validate" in said
    assert "the same classes" in said
    assert "| motion blur |" in said
    _, metadata = weights.load(tmp_path / "streets" / "run" / "last.safetensors")
    assert metadata.label_set.names == label_set("camvid").names
    for name in ("sheet.jpg", "scores/frames.jpg", "scores/scores.md"):
        assert (tmp_path / "streets" / name).stat().st_size > 0
