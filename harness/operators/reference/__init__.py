"""What oracles have in common: error constants, values with their errors, parts of an answer."""
