"""Facts about ELF files: what they need and provide, read without the help of the host."""
