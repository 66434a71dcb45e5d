"""The program `melpy`, and `python -m melpy`. It imports next to nothing, so that an interrupt of imports is caught."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line; an interrupt ends with status 130 and without a traceback, whenever it comes."""
    try:
        from melpy.cli.main import main as run  # noqa: PLC0415  # imports take most of the time of a short command

        run()
    except KeyboardInterrupt:
        os.write(2, b"interrupted\n")
        os._exit(130)  # what was half imported is not to be asked to clean up


if __name__ == "__main__":
    main()
