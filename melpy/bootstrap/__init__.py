"""A first repository, made from a Debian suite."""
