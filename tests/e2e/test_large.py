"""Files larger than the memory that melpy may take: packed, indexed, verified and unpacked in pieces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SIZE = 1 << 30
MOST = 200 << 20

SCRIPT = """
import json, re, sys
from pathlib import Path
from melpy.apk.model import PackageInfo
from melpy.apk.segment import check_datahash, read_entry, read_segments
from melpy.build.tree import load_tree
from melpy.events import Null
from melpy.pack.package import write_package
from melpy.rootfs.store import StoredPackage, ensure_layers

directory = Path(sys.argv[1])
info = PackageInfo("large", "1-r0", "x86_64")
entry = write_package(load_tree("large", directory / "files"), info, directory, mtime=0, level=1)
path = directory / "large-1-r0.apk"
assert read_entry(path).checksum == entry.checksum
with path.open("rb") as stream:
    check_datahash(stream, read_segments(stream, where=""), where="")
(layer,) = ensure_layers(directory / "store", [StoredPackage(path, entry.checksum)], Null())
# What getrusage says counts the process that started this one, too.
most = re.search("VmHWM:\\s*([0-9]+) kB", Path("/proc/self/status").read_text())
print(json.dumps([(layer / "data").stat().st_size, int(most[1]) * 1024]))
"""


def test_memory_does_not_grow_with_files(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    with (tmp_path / "files/data").open("wb") as stream:
        stream.write(b"begin")
        stream.truncate(SIZE)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    size, memory = json.loads(done.stdout)
    assert size == SIZE
    assert memory < MOST
