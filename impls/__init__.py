"""The implementations, a folder for each operator; each is a plug-in that uses the same public API as anyone else's."""
