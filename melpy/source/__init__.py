"""Upstream sources by digest: cache, mirrors, download, safe extraction."""
