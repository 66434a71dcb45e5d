"""`python -m melpy`."""

from melpy.cli.main import main

main()
