"""A classifier of anybody's pictures: one subfolder a class."""
