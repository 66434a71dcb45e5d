"""Statements about a package: its SBOM."""
