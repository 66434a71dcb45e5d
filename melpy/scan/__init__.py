"""Dependencies and provides, generated from an output tree."""
