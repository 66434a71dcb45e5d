"""Recipes as their authors wrote them: validated, with positions, templates unevaluated."""
