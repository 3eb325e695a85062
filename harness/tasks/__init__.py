"""Attention at work: models trained on real text with any implementation that has gradients, beside what they replaced."""
