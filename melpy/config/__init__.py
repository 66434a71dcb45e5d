"""Settings: flags over environment over melpy.toml over defaults."""
