"""Implementations of attention inside models of Hugging Face's transformers."""
