"""Running commands in bubblewrap, for this and for foreign architectures."""
