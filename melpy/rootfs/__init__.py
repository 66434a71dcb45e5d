"""Build roots: extracted packages stacked as overlay layers."""
