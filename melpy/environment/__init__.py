"""Environments: from constraints and repositories to exact packages, and from these to the layers of a root."""
