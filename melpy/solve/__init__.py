"""The exact packages that satisfy a list of constraints."""
