"""Writes the table of docs/nets.md: every model with its figures and its check against torchvision.

python -m experiments.against_torchvision.page
"""

import json
from pathlib import Path

from purecnn import models
from purecnn.commands.summary import CUSTOMARY
from purecnn.summary import Summary

ROOT = Path(__file__).parents[2]
PAGE, RESULTS = ROOT / "docs" / "nets.md", Path(__file__).parent / "results" / "cpu.json"
START, END = "<!-- table: python -m experiments.against_torchvision.page -->\n", "<!-- end -->"
HEAD = ("net", "image", "parameters", "FLOPs", "bytes kept", "logits", "gradients", "five steps")
RESNET20 = "resnet_cifar(blocks_per_stage=3)"


def figures(summary: Summary) -> tuple[str, ...]:
    """The cells that the net itself says."""
    size = "×".join(map(str, summary.input_shape))
    return size, f"{summary.parameters:,}", f"{summary.flops:,}", f"{summary.residual_bytes:,}"


def table() -> str:
    checks = json.loads(RESULTS.read_text(encoding="utf-8"))["nets"]
    nets = {name: getattr(models, name)(classes) for name, (_, classes) in CUSTOMARY.items()}
    shapes = {name: shape for name, (shape, _) in CUSTOMARY.items()}
    nets[RESNET20], shapes[RESNET20] = models.resnet_cifar(blocks_per_stage=3), shapes["resnet_cifar"]
    lines = [HEAD, ("---", *["---:"] * (len(HEAD) - 1))]
    for name, net in nets.items():
        file = Path(getattr(models, net.name).__code__.co_filename).relative_to(ROOT)
        found = [f"{checks[name][check]:.0e}" if name in checks else "" for check in HEAD[-3:]]
        lines.append((f"[`{name}`](../{file})", *figures(net.summary(shapes[name])), *found))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    PAGE.write_text(f"{before}{START}\n{table()}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
