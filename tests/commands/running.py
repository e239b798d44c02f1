"""The command as a user runs it: in a separate process and folder."""

import os
import subprocess
import sys

PICTURES = {"curves.png", "confusion.png", "gradients.png", "worst.png", "filters.png", "report.html"}
FILES = {
    "config.yaml",
    "metrics.jsonl",
    "weights.safetensors",
    "best.safetensors",
    "test.json",
    "checkpoints",
    *PICTURES,
}
QUICK = ("--model", "mlp", "--augmentation", "none")  # compiles in a second


def purecnn(*arguments, cwd, module="purecnn", env=os.environ, **options):
    command = [sys.executable, "-m", module, *map(str, arguments)]
    options |= {"capture_output": True, "text": True, "encoding": "utf-8", "timeout": 300}
    return subprocess.run(command, cwd=cwd, env=env, **options)
