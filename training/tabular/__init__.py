"""Tables: a CSV of anybody's → a model of its columns."""
