"""Several devices and several processes, each way in processes of their own: a process counts its devices once."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments.kill_and_resume.run import write_photographs
from purecnn.data.dataset import Split
from purecnn.data.files import evenly_spaced
from purecnn.data.readers import read
from purecnn.train.devices import Supply, all_devices, any_process, is_first_process, supply
from purecnn.train.run_folder import read_metrics
from tests.commands.running import here, purecnn

TWO_BY_TWO = "2 processes × 2 devices"
QUICK = ("--model", "mlp", "--augmentation", "none")


def test_one_process_is_the_first_and_agrees_with_itself():
    assert is_first_process()
    assert any_process(True, False) == (True, False)


def test_what_does_not_lie_on_the_device_comes_in_parts_with_the_same_images():
    rng, devices = np.random.default_rng(0), all_devices()
    split = Split(rng.random((20, 2, 2, 1), np.float32), np.arange(20, dtype=np.int32))
    parts = [rng.integers(0, 20, (3, 4)).astype(np.int32), rng.integers(0, 20, (1, 4)).astype(np.int32)]
    whole = supply(split, devices)
    assert whole.whole is not None
    for way in (whole, Supply(split, devices, None)):
        for part, (images, labels, local) in zip(parts, way.parts(parts), strict=True):
            chosen = slice(None) if local is None else np.asarray(local)
            np.testing.assert_array_equal(np.asarray(images)[chosen], split.images[part])
            np.testing.assert_array_equal(np.asarray(labels)[chosen], part)
            expected = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(way.like(len(part), 4))]
            assert [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves((images, labels, local))] == expected


SET, STREAM = ("--augmentation", "none"), ("--stream", "--augmentation", "resized_crop+flip")


@pytest.mark.slow
@pytest.mark.parametrize(("data", "others"), [(SET, ["4 devices", TWO_BY_TWO]), (STREAM, [TWO_BY_TWO])])
def test_the_loss_of_the_first_steps_is_the_same_on_any_number_of_devices_and_processes(tmp_path, data, others):
    options = ("--model", "mlp", *data, "--out", "found.json", "--only", "1 device", *others)
    command = [sys.executable, "-m", "experiments.many_devices.run", *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    shapes = {way: one["indices_a_device_sees"] for way, one in found.items() if isinstance(one, dict)}
    assert shapes["1 device"] == [20, 32]
    assert [shapes[way] for way in others] == [[20, 8]] * len(others)
    if "--stream" in data:
        decoded = {way: one["images_the_first_process_decodes"] for way, one in found.items() if isinstance(one, dict)}
        assert decoded == {"1 device": 20 * 32, TWO_BY_TWO: 20 * 32 // 2}


JOIN = """
import time, jax
from purecnn.train.devices import join
join(None, None, None)
print(jax.config.read("jax_cuda_visible_devices"), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("tasks", "gpus"), [("1", "all"), ("2", "0")])
def test_under_slurm_one_task_of_a_machine_has_all_its_gpus_and_ends_at_sigterm(tasks, gpus):
    """What SLURM would say of a step of one task; of more tasks than nodes, JAX shows each the GPU of its number."""
    step = {"JOB_ID": "7", "STEP_NODELIST": "localhost", "NTASKS": "1", "PROCID": "0", "LOCALID": "0"}
    step |= {"STEP_NUM_TASKS": tasks, "STEP_NUM_NODES": "1"}
    environment = os.environ | {f"SLURM_{name}": value for name, value in step.items()}
    command = [sys.executable, "-c", JOIN]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{gpus}\n"
        process.send_signal(signal.SIGTERM)  # before the training listens for it
        assert process.wait(timeout=30) == -signal.SIGTERM


OFTEN = ("--epochs", 3, "--steps-per-dispatch", 5, "--checkpoint-every", 0)


def both(cwd, *options):
    """Two processes of two devices that train one run together, the first first."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "purecnn", "train", *map(str, options)]
    command += ["--coordinator", coordinator, "--num-processes", "2", "--process-id"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "2"}
    return [subprocess.Popen([*command, number], cwd=cwd, env=environment, **pipes) for number in ("0", "1")]


def ends(processes):
    """What each said, [(exit code, stdout, stderr)]."""
    said = [process.communicate(timeout=240) for process in processes]
    return [(process.returncode, *words) for process, words in zip(processes, said, strict=True)]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A folder with the undisturbed run `two` of two processes, and what they said."""
    folder = tmp_path_factory.mktemp("together")
    return folder, ends(both(folder, *QUICK, *OFTEN, "--run-dir", "two"))


def test_two_processes_train_one_run_with_one_log_and_one_folder(together, tmp_path):
    folder, ((code, said, complaint), (other_code, other_said, _)) = together
    assert (code, other_code) == (0, 0), complaint
    assert "on 4 devices, 8 images of a batch on each" in said
    assert "epoch 3/3" in said
    assert "epoch" not in other_said
    alone = here("train", *QUICK, *OFTEN, "--run-dir", "one", cwd=tmp_path, quick=True)
    assert alone.returncode == 0, alone.stderr
    assert sorted(os.listdir(folder / "two")) == sorted(os.listdir(tmp_path / "one"))
    assert len(read_metrics(folder / "two")) == 3
    one, two = (load_file(run / "weights.safetensors") for run in (tmp_path / "one", folder / "two"))
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=1e-5 * np.abs(array).max())
    # What two processes saved, one resumes.
    shutil.copytree(folder / "two", tmp_path / "two")
    done = here("train", "--run-dir", "two", "--resume", cwd=tmp_path, quick=True)
    assert "resuming after step 123 of 123" in done.stdout


@pytest.mark.slow
def test_an_image_that_one_process_cannot_read_ends_both_and_nothing_is_lost(tmp_path):
    write_photographs(tmp_path / "pets", classes=2, each=400)
    stream = ("--data", "folder", "--data-dir", tmp_path / "pets", "--image-size", 8, "--streaming", "always")
    run = (*QUICK, *stream, "--epochs", 2, "--steps-per-dispatch", 3, "--checkpoint-every", 1000, "--run-dir", "run")
    images = read("folder", str(tmp_path / "pets"), image_size=8, streaming="always").train.images
    order = np.random.default_rng([0, 0]).permutation(len(images))
    # Of the eighth batch, from the second process's half, one that was not looked at beforehand.
    place = next(n for n in order[7 * 32 + 16 : 8 * 32] if n not in evenly_spaced(len(images)))
    damaged = images.path(int(images.numbers[place]))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:200])
    ended = ends(both(tmp_path, *run))
    assert [code for code, *_ in ended] == [2, 2]
    for _, _, complaint in ended:
        assert complaint.count("\n") == 1
        assert re.match(
            rf"purecnn: {damaged}: .*; step 6 is saved; .* purecnn train --run-dir run --resume\n", complaint
        )
    damaged.write_bytes(content)
    done = purecnn("train", "--run-dir", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming after step 6 of 36" in done.stdout


@pytest.mark.slow
def test_two_processes_killed_then_interrupted_and_resumed_give_the_same_bits(together, tmp_path):
    run = (*QUICK, *OFTEN, "--run-dir", "run", "--resume")
    for epoch, victims, number in ((1, (0, 1), signal.SIGKILL), (2, (1,), signal.SIGINT)):
        processes = both(tmp_path, *run)
        assert any(line.startswith(f"epoch {epoch}/3") for line in processes[0].stdout)
        for victim in victims:
            processes[victim].send_signal(number)
        stopped = ends(processes)
        # Whichever of them Ctrl-C comes to, both save and end.
        assert [code for code, *_ in stopped] == [130 if number == signal.SIGINT else -number] * 2
    ((code, said, complaint), _) = ends(both(tmp_path, *run))
    assert code == 0, complaint
    step = int(re.search(r"resuming after step (\d+) of 123", said)[1])
    assert 82 <= step < 123
    for name in ("weights.safetensors", "best.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (together[0] / "two" / name).read_bytes()
    losses = [[line["train_loss"] for line in read_metrics(place)] for place in (tmp_path / "run", together[0] / "two")]
    assert losses[0] == losses[1]


def test_a_batch_that_the_devices_cannot_share_is_refused(tmp_path):
    done = purecnn("train", *QUICK, cwd=tmp_path, env=os.environ | {"JAX_NUM_CPU_DEVICES": "3"})
    assert done.returncode == 2
    assert done.stderr == "purecnn: batch_size: got 32, expected a multiple of 3, the devices that share it\n"
    assert os.listdir(tmp_path) == []
