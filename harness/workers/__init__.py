"""Processes that answer requests: started, restricted, asked and buried here, whatever it is that they serve."""
