"""How a problem's arrays lie in memory, how the work is cut up, and tiles of them packed into vectors."""
