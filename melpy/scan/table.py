"""The scanners, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.command import scan_commands
from melpy.scan.documentation import scan_documentation
from melpy.scan.golang import scan_go
from melpy.scan.kernel import scan_kernels
from melpy.scan.perl import scan_perl
from melpy.scan.pkgconfig import scan_pkgconfig
from melpy.scan.python import scan_python
from melpy.scan.ruby import scan_ruby
from melpy.scan.shared_object import scan_shared_objects
from melpy.scan.shebang import scan_shebangs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melpy.scan.claim import Scanner

SCANNERS: Mapping[str, Scanner] = {
    "shared-object": scan_shared_objects,
    "go": scan_go,
    "command": scan_commands,
    "documentation": scan_documentation,
    "pkg-config": scan_pkgconfig,
    "perl": scan_perl,
    "python": scan_python,
    "ruby": scan_ruby,
    "shebang": scan_shebangs,
    "kernel": scan_kernels,
}
"""Every scanner by the name that findings give as their source."""
