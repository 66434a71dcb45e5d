"""Checks of melpy's results that share no code with it."""
