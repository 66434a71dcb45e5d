"""Archives of others: reading them, and writing what is in them below a directory."""
