"""The program `melpy`, and `python -m melpy`. It imports next to nothing, so that an interrupt of imports is caught."""

from __future__ import annotations

import os
import signal

from melpy.interrupt import handle_interrupts, ignore_interrupts


def main() -> None:
    """Run the command line; an interrupt ends with status 130 and without a traceback, whenever it comes."""
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell has what runs beside it ignore them
            handle_interrupts(signal.SIGINT)
        from melpy.cli.main import main as run  # noqa: PLC0415  # imports take most of the time of a short command

        run()
    except KeyboardInterrupt:
        os.write(2, b"interrupted\n")
        os._exit(130)  # what was half imported is not to be asked to clean up
    finally:
        ignore_interrupts()


if __name__ == "__main__":
    main()
