"""The order in which recipes are built."""
