"""Running a plan: workspace, steps, output trees."""
