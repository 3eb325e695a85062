"""Choosing a model's parameters by experiment."""
