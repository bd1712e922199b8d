"""What is printed on the paper that a digit is written on, and is no part of it."""
