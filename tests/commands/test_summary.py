from tests.commands.running import purecnn


def test_summary_prints_the_lectures_columns(tmp_path):
    done = purecnn("summary", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [word for word in lines[2].split("  ") if word] == [
        "layer", "units", "weights", "biases", "FLOPs", "residual bytes",
    ] or lines[2].split() == ["layer", "units", "weights", "biases", "FLOPs", "residual", "bytes"]  # fmt: skip
    first = next(line for line in lines if line.startswith("conv2d"))
    assert first.split()[1:4] == ["28×28×6", "5×5×1×6", "1×6"]
