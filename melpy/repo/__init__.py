"""A repository on disk: its layout and its signed index."""
