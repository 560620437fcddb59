"""What runs all that needs a GPU: its jobs end in time and leave a whole summary."""

import json
import sys
import time

import pytest
import torch

from benchmark.gpu import Job, Record
from squeeze_segnet_ros.__main__ import main


def python(name, code, minutes=1.0):
    return Job(name, (sys.executable, "-c", code), minutes)


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_jobs_leave_their_logs_and_how_they_ended(tmp_path):
    record = Record(tmp_path, "CPU", time.monotonic() + 600)
    assert record.run(python("good", "print('said')")) == "said\n"
    assert record.exit_code == 0
    record.run(python("bad", "raise SystemExit(3)"))
    assert record.exit_code == 1
    assert (tmp_path / "good.log").read_text() == "said\n"
    assert [(job["name"], job["ended"]) for job in summary(tmp_path)["jobs"]] == [("good", "0"), ("bad", "3")]


@pytest.mark.slow
def test_a_job_whose_time_is_up_is_asked_to_end_and_leaves_what_it_has(tmp_path):
    record = Record(tmp_path, "CPU", time.monotonic() + 600)
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('checkpoint'), exit(130)))\n"
        "print('began', flush=True)\n"
        "time.sleep(600)\n"
    )
    assert record.run(python("long", code, minutes=0.1)) == "began\ncheckpoint\n"
    assert summary(tmp_path)["jobs"][0]["ended"] == "time is up"
    assert record.exit_code == 0


def test_no_job_begins_when_the_time_is_over(tmp_path):
    record = Record(tmp_path, "CPU", time.monotonic() + 10)
    assert record.run(python("late", "print('ran')")) == ""
    assert summary(tmp_path)["jobs"][0]["ended"] == "no time left"
    assert not (tmp_path / "late.log").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--device cpu --data . --only soup", "--only soup: there is no such job"),
        ("--device cpu --data . --encoder-weights a --start-from b", "a training starts from one of them"),
        ("--device tpu --data .", "unknown device 'tpu'"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, arguments, message):
    assert main(["gpu", *arguments.split(), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_it_says_so(tmp_path, capsys):
    assert main(["gpu", "--data", ".", "--output", str(tmp_path / "out")]) == 2
    assert "no CUDA device" in capsys.readouterr().err
