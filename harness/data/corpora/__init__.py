"""What is inside the packages of the catalogue: a file for each kind, with a function (archive) -> pairs of texts.

A pair is a text and its label, or a text and its translation. The functions read archives and import nothing of them.
"""
