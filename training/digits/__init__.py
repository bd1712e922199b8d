"""What is of digits alone: recipes, drawings, styles, distortions, non-digits."""
