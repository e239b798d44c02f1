"""Several devices and several processes, each way in processes of their own: a process counts its devices once."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
from safetensors.numpy import load_file

from purecnn.data.dataset import Split
from purecnn.train.devices import Supply, agree, all_devices, is_first_process, supply
from purecnn.train.run_folder import read_metrics
from tests.commands.running import purecnn

QUICK = ("--model", "mlp", "--augmentation", "none", "--epochs", 1)


def test_one_process_is_the_first_and_agrees_with_itself():
    assert is_first_process()
    assert agree(True, False) == (True, False)


def test_what_does_not_lie_on_the_device_comes_in_parts_with_the_same_images():
    rng, devices = np.random.default_rng(0), all_devices()
    split = Split(rng.random((20, 2, 2, 1), np.float32), np.arange(20, dtype=np.int32))
    parts = [rng.integers(0, 20, (3, 4)).astype(np.int32), rng.integers(0, 20, (1, 4)).astype(np.int32)]
    whole = supply(split, devices)
    assert whole.whole is not None
    for way in (whole, Supply(split, devices, None)):
        for part, (images, labels, here) in zip(parts, way.parts(parts), strict=True):
            np.testing.assert_array_equal(np.asarray(images)[np.asarray(here)], split.images[part])
            np.testing.assert_array_equal(np.asarray(labels)[np.asarray(here)], part)
            expected = [(leaf.shape, leaf.dtype) for leaf in way.like(len(part), 4)]
            assert [(leaf.shape, leaf.dtype) for leaf in (images, labels, here)] == expected


def test_the_loss_of_the_first_steps_is_the_same_on_any_number_of_devices_and_processes(tmp_path):
    options = ("--model", "mlp", "--augmentation", "none", "--out", "found.json")
    command = [sys.executable, "-m", "experiments.many_devices.run", *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    shapes = {way: one["indices_a_device_sees"] for way, one in found.items() if isinstance(one, dict)}
    assert shapes["1 device"] == [20, 32]
    assert shapes["4 devices"] == shapes["2 processes × 2 devices"] == [20, 8]


def test_two_processes_train_one_run_with_one_log_and_one_folder(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "purecnn", "train", *map(str, QUICK), "--run-dir", "two"]
    command += ["--coordinator", coordinator, "--num-processes", "2", "--process-id"]
    other = subprocess.Popen([*command, "1"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = subprocess.run([*command, "0"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    said, _ = other.communicate(timeout=60)
    assert (first.returncode, other.returncode) == (0, 0), first.stderr
    assert "on 2 devices, 16 images of a batch on each" in first.stdout
    assert "epoch 1/1" in first.stdout
    assert "epoch" not in said
    alone = purecnn("train", *QUICK, "--run-dir", "one", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert sorted(os.listdir(tmp_path / "two")) == sorted(os.listdir(tmp_path / "one"))
    assert len(read_metrics(tmp_path / "two")) == 1
    one, two = (load_file(tmp_path / run / "weights.safetensors") for run in ("one", "two"))
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=1e-5 * np.abs(array).max())
    # What two processes saved, one goes on with.
    done = purecnn("train", "--run-dir", "two", "--resume", cwd=tmp_path)
    assert "going on after step 45 of 45" in done.stdout


def test_a_batch_that_the_devices_cannot_share_is_refused(tmp_path):
    done = purecnn("train", *QUICK, cwd=tmp_path, env=os.environ | {"JAX_NUM_CPU_DEVICES": "3"})
    assert done.returncode == 2
    assert done.stderr == "purecnn: batch_size: got 32, expected a multiple of 3, the devices that share it\n"
    assert os.listdir(tmp_path) == []
