"""Joins the stages of a build."""
