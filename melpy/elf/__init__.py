"""Facts read from ELF files."""
