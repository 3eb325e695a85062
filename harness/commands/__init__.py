"""What can be typed after `python -m harness`: a file for each command, its options beside it."""
