"""What is checked: one file a group, one function a row."""
