"""Readers against random bytes: `python -m tests.fuzz --seconds 600`."""
