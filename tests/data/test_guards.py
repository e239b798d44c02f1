"""How much memory there is, and what is refused."""

import pytest

from purecnn.data.guards import fetch_hint, in_bytes, memory_limit, naming, require_room


def test_a_container_may_use_less_than_the_machine_has(tmp_path):
    cgroups, own = tmp_path / "cgroup", tmp_path / "self"
    own.write_text("0::/user.slice/job.scope\n")
    (cgroups / "user.slice" / "job.scope").mkdir(parents=True)
    machine = memory_limit(cgroups, tmp_path / "none")
    assert machine > 2**26
    (cgroups / "user.slice" / "job.scope" / "memory.max").write_text("max\n")
    (cgroups / "user.slice" / "memory.max").write_text(f"{2**26}\n")
    memory_limit.cache_clear()
    assert memory_limit(cgroups, own) == 2**25
    assert memory_limit(cgroups, tmp_path / "none") == machine  # not among them


def test_version_1_of_control_groups(tmp_path):
    cgroups, own = tmp_path / "cgroup", tmp_path / "self"
    own.write_text("11:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n")
    (cgroups / "memory").mkdir(parents=True)
    (cgroups / "memory" / "memory.limit_in_bytes").write_text(f"{2**28}\n")
    assert memory_limit(cgroups, own) == 2**27


def test_what_does_not_fit_is_refused_before_it_is_taken():
    with pytest.raises(ValueError, match=r"x\.png: declares .* expected at most half of the available memory"):
        require_room("x.png", 2**60)
    require_room("x.png", 2**20)


def test_sizes_have_a_unit_in_which_they_are_not_nothing():
    sizes = (0, 999, 1_000, 48_600, 999_499, 999_500, 1_500_000, 999_400_000, 999_500_000, 15_052_800_000)
    words = ["0 bytes", "999 bytes", "1 kB", "49 kB", "999 kB", "1.0 MB", "1.5 MB", "999.4 MB", "1.0 GB", "15.1 GB"]
    assert [in_bytes(size) for size in sizes] == words


@pytest.mark.parametrize("path", ["https://x.org/a.zip", "s3://b/x", "gs:/b", "file:///pets"])
def test_an_address_says_what_to_do_and_a_path_is_none(path, tmp_path, monkeypatch):
    assert fetch_hint(path).startswith("; fetch it first" if path[0] != "f" else "; /… alone")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ab:").mkdir()
    (tmp_path / "ab:" / "x").touch()
    assert fetch_hint("ab:/x") == fetch_hint("c:/pets") == fetch_hint("pets") == fetch_hint("/a/b") == ""
    with pytest.raises(ValueError, match=r"there is no such file; "), naming(path):
        open(path).close()
