"""Do the first 20 steps have the same loss on 1, 2 and 4 devices, and on 2 processes of 2 devices?

    python -m experiments.many_devices.run
    python -m experiments.many_devices.run --model mlp --augmentation none

The devices are those that JAX makes of this machine's CPU; the two processes meet on localhost. Every way is a process
of its own.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.kill_and_resume.run import write_photographs

STEPS, TOLERANCE = 20, 1e-5
WAYS = {"1 device": (1, 1), "2 devices": (2, 1), "4 devices": (4, 1), "2 processes × 2 devices": (2, 2)}


def worker(args: argparse.Namespace) -> None:
    import jax

    jax.config.update("jax_num_cpu_devices", args.devices)
    from purecnn.train import devices

    if args.processes > 1:
        devices.join(f"localhost:{args.port}", args.processes, args.process_id)
    from purecnn.data import files
    from purecnn.data.batches import training_batches
    from purecnn.train.config import Config
    from purecnn.train.loop import prepare
    from purecnn.train.objectives import OBJECTIVES
    from purecnn.train.step import steps_in_one_dispatch, training_step

    decoded, attempt = [], files.attempt
    files.attempt = lambda function, path, *more: decoded.append(path) or attempt(function, path, *more)
    folder: dict = {"data": "folder", "data_dir": args.folder, "image_size": 16, "streaming": "always"}
    plan = prepare(Config(model=args.model, augmentation=args.augmentation, **(folder if args.folder else {})))
    objective = OBJECTIVES[plan.config.loss or ""]
    step = training_step(plan.net, objective, plan.optimizer, plan.augment)
    steps = steps_in_one_dispatch(step, plan.devices.everywhere)
    order = training_batches(len(plan.data.train), plan.config.batch_size, seed=0, epoch=0)[:STEPS]
    (part,) = devices.supply(plan.data.train, plan.devices).parts([order], 0)
    _, measured = steps(plan.start, *part)
    if devices.is_first_process():
        batch = part[1] if part[2] is None else part[2]
        here = [shard.data.shape for shard in batch.addressable_shards]
        found = {"losses": measured.loss.tolist(), "devices": jax.device_count(), "a_device_sees": here[0]}
        print(json.dumps(found | {"decoded": len(decoded)}))


def losses(model: str, augmentation: str, folder: Path | None, devices: int, processes: int = 1) -> dict:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = [sys.executable, "-m", "experiments.many_devices.run", "--worker", "--model", model]
    common += ["--augmentation", augmentation, "--devices", str(devices), "--processes", str(processes)]
    common += ["--folder", str(folder)] if folder else []
    running = [
        subprocess.Popen([*common, "--port", str(port), "--process-id", str(i)], stdout=subprocess.PIPE, text=True)
        for i in range(processes)
    ]
    said = [process.communicate(timeout=240)[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return json.loads(said[0].splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lenet")
    parser.add_argument("--augmentation", default="warp")
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS), help="these ways")
    parser.add_argument("--stream", action="store_true", help="photographs that are decoded as they are needed")
    parser.add_argument("--folder", type=str, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    for name in ("devices", "processes", "process-id", "port"):
        parser.add_argument(f"--{name}", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photographs" if args.stream else None
        if folder:
            write_photographs(folder)
        found = {
            way: losses(args.model, args.augmentation, folder, *counts)
            for way, counts in WAYS.items()
            if way in args.only
        }
    alone = next(iter(found.values()))["losses"]
    result: dict = {"model": args.model, "augmentation": args.augmentation, "steps": STEPS, "allowed": TOLERANCE}
    ok = len(alone) == STEPS
    for way, one in found.items():
        worst = max(abs(a - b) / b for a, b in zip(one["losses"], alone, strict=True))
        result[way] = {"largest_relative_difference": worst, "indices_a_device_sees": one["a_device_sees"]}
        if args.stream:
            result[way]["images_the_first_process_decodes"] = one["decoded"]
        ok &= worst <= TOLERANCE and one["devices"] == WAYS[way][0] * WAYS[way][1]
        print(f"{way:24} first {one['losses'][0]:.7f}, last {one['losses'][-1]:.7f}, at most {worst:.1e} away")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
