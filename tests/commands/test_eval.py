import json
import os

import matplotlib.image

from purecnn.cli import main
from tests.commands.running import purecnn


def test_eval_agrees_with_the_runs_last_epoch_and_draws_the_worst(run_copy):
    last = json.loads((run_copy / "metrics.jsonl").read_text().splitlines()[-1])
    done = purecnn("eval", "run", cwd=run_copy.parent)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"360 test images: top-1 {last['test_accuracy']:.2%}, top-5 9")
    head = next(line for line in rest if "precision" in line)
    assert head.split()[:4] == ["class", "images", "precision", "recall"]
    assert head.count("→") == 10
    assert [line.split()[0] for line in rest if line.count("%") == 2] == list("0123456789")
    assert "the worst images are in run/worst.png" in done.stdout
    assert matplotlib.image.imread(run_copy / "worst.png").std() > 0


def test_json_is_one_object_and_nothing_else(run_copy):
    done = purecnn("eval", run_copy, "--json", "--split", "train", cwd=run_copy.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["split"], found["images"]) == ("train", 1437)
    diagonal = sum(row[i] for i, row in enumerate(found["confusion"]))
    assert diagonal / 1437 == found["top1"] <= found["top5"] <= 1
    assert sum(map(sum, found["confusion"])) == 1437
    assert found["worst_png"] == str(run_copy / "worst-train.png")
    assert os.path.exists(found["worst_png"])


def test_what_is_no_run_is_said_in_one_line(run_copy, capsys):
    assert main(["eval", "nowhere"]) == 2
    assert capsys.readouterr() == ("", "purecnn: nowhere: got no config.yaml, expected the folder of a run\n")
    (run_copy / "weights.safetensors").write_bytes(b"cut")
    assert main(["eval", str(run_copy)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "weights.safetensors: got " in err
    assert err.count("\n") == 1
