"""Do weights under timm's names give timm's logits?

python -m experiments.against_torchvision.timm_logits [--only NET …]         needs torch, torchvision and timm
"""

import argparse
import json
from pathlib import Path

import numpy as np

from experiments.against_torchvision.run import BOUNDS, CLASSES, difference
from purecnn import models

SIDES = {
    "resnet18": 64,
    "vgg11": 224,
    "mobilenet_v2": 64,
    "convnext_tiny": 64,
}  # timm's VGG pools to 7×7 in its own way
RESULTS = Path(__file__).parent / "results" / "timm.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*SIDES], default=[*SIDES], metavar="NET")
    options = parser.parse_args()
    from experiments.against_torchvision import with_torch  # before timm, which imports torchvision too

    from experiments.against_torchvision import with_timm  # isort: skip

    found = {}
    for name in options.only:
        theirs = with_timm.net(name, CLASSES)
        with_torch.randomise(theirs)
        x = np.random.default_rng(0).standard_normal((2, SIDES[name], SIDES[name], 3), np.float32)
        net, params, state = models.from_torchvision(name, with_torch.arrays(theirs))
        expected = {"logits": with_torch.logits(theirs, x)}
        found[name] = difference({"logits": net.apply(params, x, state=state)}, expected)[0]
        print(name, f"{found[name]:.1e}", flush=True)
    RESULTS.write_text(json.dumps({**with_timm.VERSIONS, "logits": found}, indent=1) + "\n", encoding="utf-8")
    return int(max(found.values()) > BOUNDS["logits"])


if __name__ == "__main__":
    raise SystemExit(main())
