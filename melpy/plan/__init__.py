"""A recipe for one architecture with every template evaluated and every step flat."""
