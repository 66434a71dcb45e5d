"""melpy: build signed APK repositories from YAML recipes, reproducibly and without root."""

__version__ = "0.1.0"
