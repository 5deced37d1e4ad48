"""How much memory a trial finds for a version, before there is one."""

from pathlib import Path

import pytest

from serving.trial import available_bytes

MIB = 1 << 20


@pytest.mark.parametrize(
    ("machine_mib", "limit", "used_mib", "files_mib", "available_mib"),
    [
        pytest.param(8000, str(1000 * MIB), 300, 0, 700, id="what is left of the limit"),
        pytest.param(8000, str(1000 * MIB), 990, 600, 610, id="files it read count as free"),
        pytest.param(400, str(1000 * MIB), 300, 0, 400, id="the machine has less"),
        pytest.param(8000, "max", 300, 100, 8000, id="no limit"),
        pytest.param(8000, None, 0, 0, 8000, id="no cgroup"),
        pytest.param(8000, str(1000 * MIB), 1001, 0, 8000, id="a limit that is exceeded"),
        pytest.param(None, None, 0, 0, 0, id="nobody tells"),
    ],
)
def test_available_memory_is_the_least_that_is_told(
    tmp_path: Path,
    *,
    machine_mib: int | None,
    limit: str | None,
    used_mib: int,
    files_mib: int,
    available_mib: int,
) -> None:
    meminfo = tmp_path / "meminfo"
    if machine_mib is not None:
        meminfo.write_text(f"MemTotal: 1 kB\nMemAvailable: {machine_mib << 10} kB\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text(f"{used_mib * MIB}\n")
        (tmp_path / "memory.stat").write_text(
            f"anon 1\ninactive_file {files_mib * MIB - 1}\nactive_file 1\n"
        )

    assert available_bytes(meminfo, tmp_path) == available_mib * MIB
