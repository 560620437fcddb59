"""The train and evaluate commands on a small data set in CamVid's layout."""

import csv
import json
import math
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch
import yaml

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros import models
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.classes import UNLABELLED, LabelClass, LabelSet, label_set
from squeeze_segnet_ros.data.augment import AugmentConfig, augment, draw_crop, warp
from squeeze_segnet_ros.data.crops import Crop, cut
from squeeze_segnet_ros.data.dataset import Labelled
from squeeze_segnet_ros.data.sampling import CropSampler
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.models import weights
from squeeze_segnet_ros.training import start_weights
from squeeze_segnet_ros.training.config import DistillationConfig, TrainConfig
from squeeze_segnet_ros.training.distillation import Teacher, divergence, feature_distance

CAMVID = label_set("camvid")
CONFIG = {
    "model": "squeeze_segnet_v11",
    "steps": 4,
    "batch_size": 2,
    "evaluate_every": 2,
    "ema_decay": 0.9,
    "schedule": {"warmup_steps": 1, "decay": 0.5},
    "augment": {
        "crop": [48, 64],
        "brightness": 0.2,
        "blur": 0.5,
        "noise": 2.0,
        "shade": 0.3,
        "rotation": 3.0,
    },
}


@pytest.fixture
def camvid(tmp_path):
    """Return three images a split: a gray sky over a road, with a car."""
    root = tmp_path / "camvid"
    generator = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for i, suffix in enumerate((".png", ".webp", ".png")):
            label = np.full((60, 80), 3, np.uint8)
            label[:30] = 0
            label[35:50, 10 * i : 10 * i + 30] = 8
            label[:2] = 11
            image = CAMVID.palette[label] // 2 + generator.integers(0, 50, (60, 80, 1), np.uint8)
            cv2.imwrite(str(root / split / f"{i}{suffix}"), image)
            cv2.imwrite(str(root / f"{split}annot" / f"{i}.png"), label)
    return root


@pytest.fixture
def config(tmp_path):
    """Return a configuration that trains for seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def _train(config, camvid, output, *more):
    arguments = ["--config", config, "--data", camvid, "--output", output, "--device", "cpu", *more]
    return main(["train", *map(str, arguments)])


@pytest.mark.slow
def test_a_run_leaves_its_record_and_weights_that_evaluate_takes(config, camvid, tmp_path, capsys):
    run = tmp_path / "run"
    assert _train(config, camvid, run) == 0
    with (run / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]
    assert yaml.safe_load((run / "config.yaml").read_text())["augment"]["crop"] == [48, 64]
    _, metadata = weights.load(run / "best.safetensors")
    assert metadata.model == "squeeze_segnet_v11"
    assert metadata.trained_on == ("camvid/train",)
    assert set(metadata.figures) == {"camvid/val"}
    _, metadata = weights.load(run / "last.safetensors")
    with (run / "log.csv").open() as file:
        *_, row = csv.DictReader(file)
    assert metadata.figures["camvid/val"]["mean_iou"] == pytest.approx(float(row["mean_iou"]), abs=1e-4)
    assert "training squeeze_segnet_v11 on" in capsys.readouterr().out
    arguments = ["--model", "squeeze_segnet_v11", "--weights", run / "best.safetensors", "--data", camvid]
    arguments += ["--split", "val", "--output", tmp_path / "scores", "--device", "cpu"]
    assert main(["evaluate", *map(str, arguments)]) == 0
    assert "| **squeeze_segnet_v11** |" in capsys.readouterr().out
    report = json.loads((tmp_path / "scores" / "scores.json").read_text())
    pixels = sum(map(sum, report["confusion"]))
    assert pixels == 3 * (60 - 2) * 80
    first = (tmp_path / "scores" / "scores.json").read_bytes()
    assert main(["evaluate", *map(str, arguments)]) == 0
    assert (tmp_path / "scores" / "scores.json").read_bytes() == first


@pytest.mark.slow
def test_a_cpu_that_only_emulates_bf16_trains_in_fp32(config, camvid, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    config.write_text(yaml.safe_dump(CONFIG | {"optimizer": {"name": "muon"}, "evaluate_every": 13}))
    seen = set()
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: seen.add(output.dtype) if isinstance(output, torch.Tensor) else None
    )
    try:
        assert _train(config, camvid, tmp_path / "run", "--steps", "13") == 0
    finally:
        hook.remove()
    assert seen == {torch.float32}
    said = capsys.readouterr().out
    assert "of the CPU in fp32" in said
    assert "images a second" in said


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_unbroken_one_does(config, camvid, tmp_path):
    # A constant rate: with a decay, a run of two steps would have another one than the half of a run of four.
    config.write_text(yaml.safe_dump(CONFIG | {"schedule": {"decay": 0.0}}))
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert _train(config, camvid, whole) == 0
    assert _train(config, camvid, halves, "--steps", "2") == 0
    assert torch.load(halves / "checkpoint.pt", weights_only=True)["step"] == 2
    assert _train(config, camvid, halves, "--resume") == 0
    final, resumed = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (whole, halves))
    assert final["step"] == resumed["step"] == 4
    for name, tensor in final["network"].items():
        torch.testing.assert_close(resumed["network"][name], tensor)


@pytest.mark.slow
def test_a_run_resumed_with_another_configuration_says_so(config, camvid, tmp_path, capsys):
    run = tmp_path / "run"
    assert _train(config, camvid, run, "--steps", "2") == 0
    assert _train(config, camvid, run, "--steps", "2", "--resume") == 0
    assert list(run.glob("config_from_step_*")) == []
    assert _train(config, camvid, run, "--resume") == 0
    record = run / "config_from_step_2.yaml"
    assert str(record) in capsys.readouterr().out
    assert yaml.safe_load(record.read_text())["steps"] == 4
    assert yaml.safe_load((run / "config.yaml").read_text())["steps"] == 2


@pytest.mark.slow
def test_a_resumed_run_has_the_rate_of_its_schedule(config, camvid, tmp_path):
    run = tmp_path / "run"
    assert _train(config, camvid, run, "--steps", "2") == 0
    before = torch.load(run / "checkpoint.pt", weights_only=True)["network"]
    # So long a warm-up that its third and fourth step are too small to be seen.
    config.write_text(yaml.safe_dump(CONFIG | {"schedule": {"warmup_steps": 10**12}}))
    assert _train(config, camvid, run, "--resume") == 0
    after = torch.load(run / "checkpoint.pt", weights_only=True)["network"]
    for name, _ in models.build(CONFIG["model"]).named_parameters():
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-7)


@pytest.mark.slow
def test_a_run_resumed_without_its_extra_data_says_so(config, camvid, tmp_path, capsys):
    config.write_text(yaml.safe_dump(CONFIG | {"extra_share": 0.5}))
    run = tmp_path / "run"
    streets = shutil.copytree(camvid, tmp_path / "streets")
    assert _train(config, camvid, run, "--extra-data", streets, "--steps", "2") == 0
    assert _train(config, camvid, run, "--resume") == 2
    assert "comes from a run with --extra-data: give it again" in capsys.readouterr().err
    assert _train(config, camvid, run, "--extra-data", streets, "--resume") == 0
    seen = ("camvid/train", "streets/train")
    assert weights.load(run / "last.safetensors")[1].trained_on == seen
    # What comes of these weights has seen it too.
    config.write_text(yaml.safe_dump(CONFIG))
    start = str(run / "last.safetensors")
    assert _train(config, camvid, tmp_path / "next", "--start-from", start, "--steps", "2") == 0
    assert weights.load(tmp_path / "next" / "last.safetensors")[1].trained_on == seen


def test_extra_data_without_a_share_of_the_batch_is_refused(config, camvid, tmp_path, capsys):
    assert _train(config, camvid, tmp_path / "run", "--extra-data", camvid) == 2
    assert "raise extra_share or batch_size" in capsys.readouterr().err


@pytest.mark.slow
def test_a_batch_that_processes_cannot_share_is_refused(config, camvid, tmp_path):
    config.write_text(yaml.safe_dump(CONFIG | {"batch_size": 3}))
    done = _train_in_two_processes(config, camvid, tmp_path / "run")
    assert done.returncode != 0
    assert "batch_size is 3: 2 processes need a multiple of 2" in done.stderr


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_to_resume_from(config, camvid, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "squeeze_segnet_ros", "train", "--config", config, "--data", camvid]
    command += ["--output", run, "--steps", "100000", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (run / "log.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] >= 2


def _train_in_two_processes(config, camvid, run):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["--local-addr=127.0.0.1", "-m", "squeeze_segnet_ros", "train", "--device", "cpu"]
    command += ["--config", config, "--data", camvid, "--output", run]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_two_processes_train_as_one(config, camvid, tmp_path):
    config.write_text(yaml.safe_dump(CONFIG | {"batch_size": 4}))
    done = _train_in_two_processes(config, camvid, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == 4


def test_a_run_on_train_and_val_says_so_and_claims_no_figures(config, camvid, tmp_path):
    config.write_text(yaml.safe_dump(CONFIG | {"data_splits": ["train", "val"]}))
    assert _train(config, camvid, tmp_path / "run") == 0
    _, metadata = weights.load(tmp_path / "run" / "last.safetensors")
    assert metadata.trained_on == ("camvid/train", "camvid/val")
    assert metadata.figures == {}
    assert not (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
def test_a_run_with_every_option_on(config, camvid, tmp_path, optimizer):
    options = {
        "extra_share": 0.5,
        "optimizer": {"name": optimizer, "lr": 0.001, "clip_norm": 1.0},
        "loss": {
            "class_weights": "inverse_log",
            "hardest_share": 0.3,
            "label_smoothing": 0.1,
            "dice_weight": 1,
        },
        "augment": CONFIG["augment"] | {"rare_class_share": 0.5, "rare_classes": ["car"], "paste_share": 0.5},
    }
    config.write_text(yaml.safe_dump(CONFIG | {"batch_size": 4} | options))
    assert _train(config, camvid, tmp_path / "run", "--extra-data", camvid) == 0
    with (tmp_path / "run" / "log.csv").open() as file:
        assert all(0 < float(row["loss"]) < 10 for row in csv.DictReader(file))


def _teacher_of(config, tmp_path, model, **more):
    """Write weights of an untrained teacher, and a configuration that learns from it."""
    path = tmp_path / "teacher.safetensors"
    weights.save(path, models.build(model), weights.WeightsMetadata(model))
    distillation = {"teacher": model, "weights": str(path), "features_weight": 1.0} | more
    config.write_text(yaml.safe_dump(CONFIG | {"distillation": distillation}))


JOINTS = [
    "encoder.fire3",
    "encoder.fire5",
    "encoder.fire9",
    "decoder.fire9",
    "decoder.fire5",
    "decoder.fire3",
]


@pytest.mark.slow
def test_a_teacher_labels_pictures_without_labels(config, camvid, tmp_path, capsys):
    streets = shutil.copytree(camvid, tmp_path / "streets")
    for path in (streets / "trainannot").iterdir():
        cv2.imwrite(str(path), np.full((60, 80), 255, np.uint8))
    config.write_text(yaml.safe_dump(CONFIG | {"extra_share": 0.5}))
    assert _train(config, camvid, tmp_path / "alone", "--extra-data", streets, "--steps", "2") == 2
    assert "extra data: all void" in capsys.readouterr().err
    _teacher_of(config, tmp_path, "squeeze_segnet", features_weight=0.0)
    config.write_text(config.read_text() + "extra_share: 0.5\n")
    assert _train(config, camvid, tmp_path / "taught", "--extra-data", streets, "--steps", "2") == 0


@pytest.mark.slow
def test_a_network_learns_from_a_teacher(config, camvid, tmp_path):
    _teacher_of(config, tmp_path, "squeeze_segnet", joints=JOINTS)
    assert _train(config, camvid, tmp_path / "run") == 0
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    network = models.build("squeeze_segnet_v11")
    network.load_state_dict(state["network"])  # the student alone: no parameter of the teacher
    teacher = models.build("squeeze_segnet").eval()
    weights.load_into(teacher, "squeeze_segnet", tmp_path / "teacher.safetensors")
    images = torch.randn(1, 3, 64, 96)
    taught = Teacher(TrainConfig.from_yaml(config).distillation, network, CAMVID, torch.device("cpu"))
    logits, loss = taught.teach(network.eval(), images)
    assert torch.equal(logits, network(images))
    # A network that is its own teacher has nothing to learn.
    own = DistillationConfig(weights=str(tmp_path / "teacher.safetensors"), teacher="squeeze_segnet")
    _, nothing = Teacher(own, teacher, CAMVID, torch.device("cpu")).teach(teacher, images)
    assert loss > 0.1
    assert nothing.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.slow
def test_a_teacher_takes_part_from_its_step_on(config, camvid, tmp_path):
    def trained(run):
        assert _train(config, camvid, run) == 0
        return torch.load(run / "checkpoint.pt", weights_only=True)["network"]["conv1.weight"]

    alone = trained(tmp_path / "alone")
    taught = []
    for from_step in (2, 4):
        _teacher_of(config, tmp_path, "squeeze_segnet", joints=JOINTS, from_step=from_step)
        taught.append(trained(tmp_path / f"from_{from_step}"))
    assert not torch.equal(taught[0], alone)
    assert torch.equal(taught[1], alone)


def test_joints_that_do_not_fit_are_said(config, camvid, tmp_path, capsys):
    for joints, message in (
        (["encoder.fire1"], "SqueezeSegNet has no encoder.fire1"),
        (["decoder.fire2"], "decoder.fire2 has 64 channels in the student and 96 in the teacher"),
    ):
        _teacher_of(config, tmp_path, "squeeze_segnet", joints=joints)
        assert _train(config, camvid, tmp_path / "run") == 2
        assert message in capsys.readouterr().err


def test_a_compiled_network_has_no_joints():
    taught = DistillationConfig("squeeze_segnet", features_weight=1.0, joints=("encoder.fire3",))
    with pytest.raises(ConfigError, match=r"without distillation\.joints"):
        TrainConfig(compile=True, distillation=taught)


def test_the_distances_to_a_teacher_are_those_worked_out_by_hand():
    ours = torch.tensor([0.0, 0.0]).view(1, 2, 1, 1)
    theirs = torch.tensor([math.log(3) * 2, 0.0]).view(1, 2, 1, 1)
    # Softened by 2, the teacher's probabilities are 3/4 and 1/4.
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert divergence(ours, theirs, 2.0).item() == pytest.approx(expected)
    features = torch.tensor([[3.0, 4.0], [4.0, -3.0]]).T.view(1, 2, 1, 2)
    assert feature_distance(features, 10 * features).item() == pytest.approx(0, abs=1e-6)
    assert feature_distance(features, features.flip(3)).item() == pytest.approx(1)


@pytest.mark.slow
def test_training_on_a_cpu_keeps_its_memory(config, camvid, tmp_path):
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc can be told to keep freed memory")
    arguments = ["train", "--config", config, "--data", camvid, "--output", tmp_path / "run"]
    program = f"""
import resource, torch
from squeeze_segnet_ros.__main__ import main
assert main({list(map(str, arguments))!r} + ["--device", "cpu"]) == 0
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 * 2**20, dtype=torch.uint8)
    print("pages", resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    pages = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("pages")]
    # 64 MiB are at least 32 pages: none of them is new when a block that was freed before is taken again.
    assert min(pages) < 10, pages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 3}, "line [0-9]+: unknown key 'step': known are steps"),
        ({"steps": "many"}, "line [0-9]+, steps: found 'many': expected a whole number"),
        ({"optimizer": {"rate": 1}}, "optimizer: unknown key 'rate': known are name, lr"),
        ({"augment": {"crop": 64}}, "augment.crop: found 64: expected a list of 2, each a whole number"),
        ({"batch_size": 1}, "batch_size at least 2"),
        ({"evaluate_every": 0}, "evaluate_every must be at least 1"),
        ({"augment": {"scale": [0, 1]}}, r"augment: scale is \[0.0, 1.0\]: give the least zoom, above 0"),
        ({"augment": {"scale": [2, 1]}}, "and the largest"),
        ({"data_splits": ["train", "test"]}, "data_splits is 'test': choose one of train, val"),
        ({"data_splits": []}, "data_splits must name at least one"),
        ({"optimizer": {"name": "lion"}}, "optimizer: name is 'lion': choose one of sgd, adam, adamw, muon"),
        ({"loss": {"hardest_share": 0}}, "loss: hardest_share is 0.0: it is a share above 0"),
        ({"loss": {"class_weights": "equal"}}, "choose one of median_frequency, inverse_log"),
        ({"augment": {"rare_classes": [1]}}, "augment.rare_classes: found 1: expected a text"),
        ({"optimizer": {"lr": float("nan")}}, "optimizer: lr is nan: expected a finite number"),
        ({"optimizer": "sgd"}, "optimizer: found 'sgd': expected keys and values"),
        ({"channels_last": 1}, "channels_last: found 1: expected true or false"),
        ({"distillation": {"features_weight": 1.0}}, "distillation: features_weight and joints need each"),
        ({"augment": {"paste_share": 1.5}}, "paste_share is 1.5: it is a share in 0..1"),
    ],
)
def test_a_wrong_configuration_is_said(config, change, message):
    config.write_text(yaml.safe_dump(CONFIG | change))
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_yaml(config)


def test_a_file_that_nests_without_end_is_one_line(config):
    config.write_text("[" * 5_000)
    with pytest.raises(ConfigError, match="is not readable as YAML") as caught:
        TrainConfig.from_yaml(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "steps and evaluate_every must be at least 1"),
        (["--device", "gpu"], "unknown device 'gpu'"),
        (["--device", "cuda:99"], "device 'cuda:99' does not exist"),
        (["--resume", "--start-from", "x.safetensors"], "--start-from and --overwrite begin a run"),
        (["--resume"], "start without --resume"),
        (["--resume", "--overwrite"], "--overwrite begin a run"),
        (["--cache", "much"], "--cache 'much': give a size like 8GB"),
        (["--cache", "900TB"], "of memory are free; give less"),
        (["--workers", "-1"], "--workers is -1: give 0"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(config, camvid, tmp_path, capsys, arguments, message):
    assert _train(config, camvid, tmp_path / "run", *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_checkpoint_that_does_not_fit_is_said(config, camvid, tmp_path, capsys):
    run = tmp_path / "run"
    assert _train(config, camvid, run, "--steps", "2") == 0
    config.write_text(yaml.safe_dump(CONFIG | {"model": "enet"}))
    assert _train(config, camvid, run, "--resume") == 2
    assert "is of a run of squeeze_segnet_v11, the configuration has enet" in capsys.readouterr().err
    checkpoint = run / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert _train(config, camvid, run, "--resume") == 2
    assert f"{checkpoint} is damaged: begin anew without --resume" in capsys.readouterr().err


def test_bad_input_is_one_line_and_exit_code_2(config, tmp_path, capsys):
    assert _train(config, tmp_path / "nowhere", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no folder" in error


def test_the_configurations_that_come_with_the_package_are_valid(request):
    paths = sorted((request.config.rootpath / "config" / "train").glob("*.yaml"))
    assert paths
    for path in paths:
        assert TrainConfig.from_yaml(path).model in models.names()


def _crop(image, labels, crop):
    """Return the crop of an image (H, W, 3) and its labels: float (3, h, w), uint8 (h, w)."""
    parts = map(torch.from_numpy, cut(Labelled(image, labels), crop))
    pixels, ids = warp(*parts, crop.size)
    return pixels[0], ids[0]


def test_a_crop_moves_image_and_labels_together():
    labels = np.random.default_rng(0).integers(0, 11, (12, 16), np.uint8).repeat(8, 0).repeat(8, 1)
    image = np.repeat(labels[:, :, None] * 20, 3, 2)
    config = AugmentConfig(crop=(64, 64), scale=(1.0, 1.0), rotation=5.0)
    for seed in range(4):
        crop = draw_crop(config, torch.Generator().manual_seed(seed))
        moved, moved_labels = _crop(image, labels, crop)
        assert moved.shape == (3, 64, 64)
        inside = moved_labels != UNLABELLED
        agree = (moved[0] / 20).round()[inside] == moved_labels[inside]
        # Pixels between two squares are mixtures.
        assert agree.float().mean() > 0.75


def test_a_crop_of_the_whole_image_is_the_image_and_its_mirror():
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    labels = image[:, :, 0] % 11
    for side, way in ((1.0, slice(None)), (-1.0, slice(None, None, -1))):
        moved, moved_labels = _crop(image, labels, Crop((40, 56), 1.0, side=side))
        np.testing.assert_allclose(moved.permute(1, 2, 0), image[:, way], atol=0.05)
        np.testing.assert_array_equal(moved_labels, labels[:, way])


def test_what_lies_outside_of_the_image_is_black_and_void():
    image, labels = np.full((32, 32, 3), 200, np.uint8), np.zeros((32, 32), np.uint8)
    moved, moved_labels = _crop(image, labels, Crop((64, 48), 1.0))
    assert (moved_labels[16:48, 8:40] == 0).all()
    assert int((moved_labels == UNLABELLED).sum()) == 64 * 48 - 32 * 32
    assert moved[:, moved_labels == UNLABELLED].max() < 0.01


def test_the_part_that_is_cut_out_gives_the_same_crop_as_the_whole_image():
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    labels = image[:, :, 0] % 11
    crop = Crop((32, 40), 1.3, math.radians(7), -1.0, (0.9, 0.4))
    part = cut(Labelled(image, labels), crop)
    assert part.labels.size < labels.size / 4
    _, moved_labels = _crop(image, labels, crop)
    # By hand: where the middle of each pixel of the crop lies in the whole image.
    y, x = np.mgrid[:32, :40]
    x, y = (x + 0.5 - 20) * crop.side / 1.3, (y + 0.5 - 16) / 1.3
    cos, sin = math.cos(crop.angle), math.sin(crop.angle)
    free_y, free_x = 45 - 16 / 1.3, 60 - 20 / 1.3
    row = 45 - free_y + 2 * 0.9 * free_y + sin * x + cos * y
    column = 60 - free_x + 2 * 0.4 * free_x + cos * x - sin * y
    np.testing.assert_array_equal(
        moved_labels, labels[np.floor(row).astype(int), np.floor(column).astype(int)]
    )


def test_augmentation_is_repeatable_by_its_generator():
    images = torch.randint(0, 255, (2, 3, 32, 32)).float()
    labels = torch.zeros(2, 32, 32, dtype=torch.uint8)
    config = AugmentConfig(crop=(32, 32), brightness=0.3, noise=3.0, blur=1.0, shade=0.5, gamma=0.2)
    first, second = (augment(images, labels, config, torch.Generator().manual_seed(7))[0] for _ in range(2))
    assert torch.equal(first, second)


POLE, CAR, PEDESTRIAN = (CAMVID.names.index(name) for name in ("pole", "car", "pedestrian"))


@pytest.fixture
def dots(images_of):
    """Make images of roads, each with one pixel of one of some classes; the image is 20 times the label."""

    def make(n, size, classes):
        generator = np.random.default_rng(3)
        frames = []
        for i in range(n):
            labels = np.full(size, CAMVID.names.index("road"), np.uint8)
            row, column = (int(generator.integers(length)) for length in size)
            labels[row, column] = classes[i % len(classes)]
            frames.append(Labelled(np.repeat(20 * labels[:, :, None], 3, 2), labels))
        return images_of(frames)

    return make


def _drawn(images, config, n, step=0, seed=0):
    return CropSampler(images, CAMVID, config, n, seed, torch.device("cpu")).draw(step)


def test_a_share_of_the_crops_shows_a_rare_class(dots):
    data = dots(30, (96, 128), [POLE, PEDESTRIAN, CAR])
    rare = {"rare_classes": ("pole", "pedestrian", "sign")}
    config = AugmentConfig(crop=(24, 32), scale=(1.0, 1.0), rotation=4.0, rare_class_share=1.0, **rare)
    _, labels = _drawn(data, config, 64)
    pole, person, car = ((labels == k).flatten(1).any(1) for k in (POLE, PEDESTRIAN, CAR))
    # A rotated pixel may fall between the crop's.
    assert (pole | person).float().mean() > 0.9
    assert 0.3 < pole.float().mean() < 0.7  # both classes alike
    assert not car.any()
    half = AugmentConfig(crop=(24, 32), scale=(1.0, 1.0), rare_class_share=0.5, **rare)
    _, labels = _drawn(data, half, 64)
    assert 0.3 < torch.isin(labels, torch.tensor([POLE, PEDESTRIAN])).flatten(1).any(1).float().mean() < 0.75


def test_rare_classes_are_those_with_few_pixels_where_none_are_named(dots):
    data = dots(4, (96, 128), [CAR])
    config = AugmentConfig(crop=(24, 32), rare_class_share=1.0)
    sampler = CropSampler(data, CAMVID, config, 2, 0, torch.device("cpu"))
    assert [k for k, _ in sampler.rare] == [CAR]
    assert sampler.pasted == (CAR,)


def test_where_no_rare_class_occurs_any_crop_will_do(dots):
    data = dots(3, (96, 128), [CAR])
    config = AugmentConfig(crop=(24, 32), rare_class_share=1.0, rare_classes=("pole",))
    images, labels = _drawn(data, config, 2)
    assert images.shape == (2, 3, 24, 32)
    assert labels.shape == (2, 24, 32)


def test_a_class_that_the_data_lacks_cannot_be_rare(dots):
    config = AugmentConfig(crop=(24, 32), rare_classes=("lamp",))
    with pytest.raises(
        ConfigError, match="rare_classes: there is no class 'lamp' in camvid: choose from sky"
    ):
        _drawn(dots(1, (48, 48), [CAR]), config, 2)


def test_rare_objects_are_pasted_onto_other_crops_with_their_pixels():
    labels = torch.full((4, 16, 16), CAR, dtype=torch.uint8)
    labels[0, 2:6, 3:5] = PEDESTRIAN
    images = 20.0 * labels[:, None].expand(-1, 3, -1, -1)
    config = AugmentConfig(crop=(16, 16), paste_share=1.0)
    pasted, pasted_labels = augment(images, labels, config, torch.Generator().manual_seed(0), (PEDESTRIAN,))
    # Every crop gets what one other one has: the person stays with the giver and is given once.
    shows = (pasted_labels == PEDESTRIAN).flatten(1).sum(1)
    assert sorted(shows.tolist()) == [0, 0, 8, 8]
    torch.testing.assert_close(pasted[:, 0], 20 * pasted_labels.float(), atol=0.5, rtol=0)
    (receiver,) = (i for i in range(1, 4) if shows[i])
    others = pasted_labels[receiver] != PEDESTRIAN
    assert torch.equal(pasted_labels[receiver][others], labels[receiver][others])


def test_images_that_lie_on_the_device_give_the_same_crops(dots):
    data = dots(6, (64, 80), [POLE, CAR])
    config = AugmentConfig(
        crop=(24, 32), rotation=5.0, rare_class_share=0.5, rare_classes=("pole",), noise=2.0
    )
    from_files, on_device = (CropSampler(data, CAMVID, config, 4, 1, torch.device("cpu")) for _ in range(2))
    # As on a GPU, whose memory holds them all.
    on_device.on_gpu = [tuple(torch.from_numpy(each.copy()) for each in labelled) for labelled in data]
    for step in range(3):
        for one, other in zip(from_files.draw(step), on_device.draw(step), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


def test_every_image_comes_once_before_any_comes_again(dots):
    sampler = CropSampler(
        dots(10, (48, 48), [CAR]), CAMVID, AugmentConfig(crop=(8, 8)), 4, 0, torch.device("cpu")
    )
    order = [index for step in range(5) for index, _ in sampler.plan(step)]
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:]
    assert [index for index, _ in sampler.plan(3)] == order[12:16]  # whatever was asked before


# -- data of one's own -----------------------------------------------------------------------------------

OWN = {"ground": (90, 60, 30), "plant": (0, 160, 0), "car": (0, 0, 200)}


@pytest.fixture
def own_data(tmp_path):
    """Make a data set of three classes with color labels and images of three sizes; its description."""
    generator = np.random.default_rng(0)
    colors = np.array([*OWN.values(), (0, 0, 0)], np.uint8)
    for split, count in (("train", 6), ("val", 3)):
        for folder in ("images", "labels"):
            (tmp_path / "own" / folder / split).mkdir(parents=True)
        for i in range(count):
            height, width = ((40, 48), (64, 40), (36, 80))[i % 3]
            labels = np.zeros((height, width), np.uint8)
            labels[: height // 3] = 1
            labels[height // 2 :, : width // 3] = 2
            labels[0] = 3
            image = colors[labels] // 2 + generator.integers(0, 60, (height, width, 1), np.uint8)
            for folder, pixels in (("images", image), ("labels", colors[labels])):
                cv2.imwrite(str(tmp_path / "own" / folder / split / f"{i}.png"), pixels[:, :, ::-1])
    description = {
        "name": "own",
        "classes": [{"name": name, "rgb": list(rgb)} for name, rgb in OWN.items()],
        "colours": {",".join(map(str, rgb)): name for name, rgb in OWN.items()},
        "unlabelled": ["0,0,0"],
        "splits": {
            split: {"images": f"images/{split}/*.png", "labels": f"labels/{split}/*.png"}
            for split in ("train", "val")
        },
    }
    path = tmp_path / "own" / "own.yaml"
    path.write_text(yaml.safe_dump(description))
    return path


TINY = {"model": "enet", "batch_size": 2, "evaluate_every": 20, "augment": {"crop": [32, 40]}}


def test_data_of_ones_own_trains_and_its_classes_follow_the_weights(config, own_data, tmp_path, capsys):
    config.write_text(yaml.safe_dump(TINY | {"steps": 20, "optimizer": {"name": "adamw", "lr": 0.003}}))
    run = tmp_path / "run"
    assert _train(config, own_data, run) == 0
    said = capsys.readouterr().out
    assert "own, 3 classes: 6 images for train (80x36, 48x40, 40x64; all decoded in memory" in said
    assert "2 crops of 40x32 a step, steps 1 to 20" in said
    assert re.search(r"20 steps of .* s; [0-9.]+% of that was spent waiting for images", said)
    with (run / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    net = ssr.load("enet", run / "last.safetensors", device="cpu")
    assert [(label.name, label.rgb) for label in net.classes] == list(OWN.items())
    assert weights.load(run / "last.safetensors")[1].trained_on == ("own/train",)
    arguments = ["--model", "enet", "--weights", run / "last.safetensors", "--data", own_data]
    arguments += ["--output", tmp_path / "scores", "--device", "cpu"]
    assert main(["evaluate", *map(str, arguments)]) == 0
    report = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert list(report["iou"]) == list(OWN)
    assert report["global_accuracy"] == pytest.approx(float(row["global_accuracy"]), abs=0.05)
    assert "1711.05491" not in capsys.readouterr().out


def test_a_run_starts_from_weights_of_other_classes(config, own_data, tmp_path, capsys):
    torch.manual_seed(1)
    start, theirs = tmp_path / "camvid.safetensors", models.build("enet", 11)
    weights.save(start, theirs, weights.WeightsMetadata("enet"), torch.float32)
    ours = models.build("enet", 3)
    taken = start_weights.load(ours, "enet", LabelSet("own", _own_classes()), start)
    assert (taken.same, taken.new) == (("car",), ("ground", "plant"))
    last = taken.in_part
    assert set(last) < set(ours.state_dict()) and 1 <= len(last) <= 2
    car, ids = CAMVID.names.index("car"), list(OWN)
    for name, tensor in ours.state_dict().items():
        if name not in last:
            assert torch.equal(tensor, theirs.state_dict()[name]), name
            continue
        axis = tensor.shape.index(3)
        mine, other = tensor.select(axis, ids.index("car")), theirs.state_dict()[name].select(axis, car)
        assert torch.equal(mine, other), name
    config.write_text(yaml.safe_dump(TINY | {"steps": 1}))
    assert _train(config, own_data, tmp_path / "run", "--start-from", start) == 0
    said = capsys.readouterr().out
    assert "which has other classes" in said and "the classes car; new: ground, plant; not used: sky" in said


def _own_classes():
    return tuple(LabelClass(i, name, rgb) for i, (name, rgb) in enumerate(OWN.items()))


@pytest.mark.slow
def test_a_second_run_does_not_overwrite_the_first(config, own_data, tmp_path, capsys):
    config.write_text(yaml.safe_dump(TINY | {"steps": 1}))
    run = tmp_path / "run"
    assert _train(config, own_data, run) == 0
    before = (run / "last.safetensors").read_bytes()
    assert _train(config, own_data, run, "--seed", "3") == 2
    error = capsys.readouterr().err
    assert f"{run} holds a run (checkpoint.pt): --resume goes on with it, --output names another" in error
    assert (run / "last.safetensors").read_bytes() == before
    assert _train(config, own_data, run, "--resume") == 0
    assert "nothing to do: the run in" in capsys.readouterr().out
    assert _train(config, own_data, run, "--seed", "3", "--overwrite") == 0
    assert (run / "last.safetensors").read_bytes() != before


def test_a_loss_that_is_not_finite_ends_the_run_with_the_batch(config, own_data, tmp_path, capsys):
    rate = {"optimizer": {"name": "sgd", "lr": 1e30}}
    config.write_text(yaml.safe_dump(TINY | {"steps": 8, "evaluate_every": 1} | rate))
    run = tmp_path / "run"
    assert _train(config, own_data, run) == 2
    error = capsys.readouterr().err
    line = error.splitlines()[-1]
    assert re.search(r"train: step \d: .* after the batch of \d, \d; ", line), error
    assert "there is no checkpoint yet" in line or "checkpoint.pt is from before" in line
    for path in run.glob("*.safetensors"):
        weights.load(path)  # refused where it is not finite


def test_a_checkpoint_of_other_classes_is_refused(config, own_data, camvid, tmp_path, capsys):
    config.write_text(yaml.safe_dump(TINY | {"steps": 1}))
    assert _train(config, own_data, tmp_path / "run") == 0
    assert _train(config, camvid, tmp_path / "run", "--resume") == 2
    assert "is of a run with the classes ground, plant, car: give its data set" in capsys.readouterr().err


def test_extra_data_of_other_classes_is_refused(config, own_data, camvid, tmp_path, capsys):
    assert _train(config, own_data, tmp_path / "run", "--extra-data", camvid) == 2
    assert "--extra-data has the classes of camvid, --data those of own" in capsys.readouterr().err
