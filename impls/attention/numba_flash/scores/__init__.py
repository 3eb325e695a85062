"""What happens to a tile of scores between its two products."""
