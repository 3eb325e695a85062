"""Limits of containers, read from folders that look like the kernel's, of both versions of control groups."""

import pytest

from harness.workers.cgroup import Groups


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Groups(root)


V2 = {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/cgroup.controllers": "cpu memory\n"}
V1 = {"proc/self/cgroup": "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/\n"}


def test_nothing_is_limited_where_nothing_says_so(tmp_path):
    groups = tree(tmp_path, {})
    assert (groups.cpus(), groups.memory_bytes(), groups.memory_left_bytes(), groups.throttled()) == (None, None, None, 0)


def test_the_second_version_counts_the_groups_above(tmp_path):
    groups = tree(
        tmp_path,
        V2
        | {
            "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/a/b/memory.max": "4000\n",
            "sys/fs/cgroup/a/b/memory.current": "3000\n",
            "sys/fs/cgroup/a/b/memory.stat": "anon 1\ninactive_file 500\n",
            "sys/fs/cgroup/a/memory.max": "max\n",
            "sys/fs/cgroup/a/b/cpu.stat": "usage_usec 5\nnr_throttled 3\n",
        },
    )
    assert (groups.cpus(), groups.memory_bytes(), groups.memory_left_bytes(), groups.throttled()) == (1.5, 4000, 1500, 3)


def test_the_first_version_is_read_too(tmp_path):
    cpu, memory = "sys/fs/cgroup/cpu,cpuacct/docker/x", "sys/fs/cgroup/memory/docker/x"
    groups = tree(
        tmp_path,
        V1
        | {
            f"{cpu}/cpu.cfs_quota_us": "50000\n",
            f"{cpu}/cpu.cfs_period_us": "100000\n",
            f"{cpu}/cpu.stat": "nr_periods 9\nnr_throttled 2\n",
            f"{memory}/memory.limit_in_bytes": "4000\n",
            f"{memory}/memory.usage_in_bytes": "1000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
        },
    )
    assert (groups.cpus(), groups.memory_bytes(), groups.memory_left_bytes(), groups.throttled()) == (0.5, 4000, 3000, 2)


def test_a_container_sees_its_own_group_as_the_uppermost(tmp_path):
    groups = tree(tmp_path, V2 | {"sys/fs/cgroup/cpu.max": "200000 100000\n", "sys/fs/cgroup/memory.max": "8000\n"})
    assert (groups.cpus(), groups.memory_bytes()) == (2.0, 8000)


@pytest.mark.parametrize("text", ["", "x y", "100000", "100000 0", "-1 100000", "\x00"])
def test_what_makes_no_sense_is_no_limit(tmp_path, text):
    assert tree(tmp_path, V2 | {"sys/fs/cgroup/a/b/cpu.max": text}).cpus() is None
