"""Attacks on the harness, by kind: what careless people, full disks, kills and strange machines do to it.

`python -m tests.attacks --minutes 60 --write` carries out as many as that takes and writes docs/reliability.md; the suite
carries out some of each kind.
"""
