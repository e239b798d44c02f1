"""What torchvision and timm call the arrays of every net, and their shapes: the fact that the tests hold the tables to.

python -m experiments.against_torchvision.shapes          writes results/shapes.json; needs torch, torchvision, timm
"""

import json
from pathlib import Path

from purecnn.models.torchvision import TABLES

FILE = Path(__file__).parent / "results" / "shapes.json"


def main() -> None:
    from experiments.against_torchvision import with_torch  # before timm, which imports torchvision too

    from experiments.against_torchvision import with_timm  # isort: skip

    lines = []
    for library, names, module in (
        ("torchvision", list(TABLES), with_torch),
        ("timm", [name for name in TABLES if name != "alexnet_one_tower"], with_timm),
    ):
        found = ",\n".join(f"{json.dumps(name)}: {json.dumps(module.shapes(name))}" for name in names)
        lines.append(f"{json.dumps(library)}: {{\n{found}\n}}")
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
