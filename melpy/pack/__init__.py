"""An output tree becomes an APK."""
