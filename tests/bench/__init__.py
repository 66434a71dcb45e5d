"""What was promised, measured: `make bench`."""
