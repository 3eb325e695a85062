"""What runs in workers: texts as numbers, networks, training, and the use of what was trained."""
