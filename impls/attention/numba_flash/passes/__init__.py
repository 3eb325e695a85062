"""The forward pass, the backward pass and decoding: what the threads share out."""
