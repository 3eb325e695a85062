"""The programs that write tables into the README and the pages: `python -m docs.generate.NAME`. Tests keep them equal."""
