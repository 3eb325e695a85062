"""Every kind of attack."""

from tests.attacks import folders, fuzz, kills, nonsense, plugins, surroundings, trainings
from tests.attacks.kind import Kind

SENTENCE = "one sentence, exit status 2, nothing made"

KINDS = (
    Kind("nonsense options", SENTENCE, nonsense.option, share=0.5, in_ci=150),
    Kind("nonsense problems", SENTENCE, nonsense.problems, share=0.5, in_ci=150),
    Kind("any text for an option", SENTENCE, fuzz.fuzzed(fuzz.OPTIONS, fuzz.option), 0.5, 5, fuzz.EXAMPLES),
    Kind("any value for a size", SENTENCE, fuzz.fuzzed(fuzz.PROBLEMS, fuzz.problem), 0.5, 5, fuzz.EXAMPLES),
    Kind(
        "a journal with a flipped bit", "no other number is reported, and the other lines are", folders.flipped_bit, 0.5, 40
    ),
    Kind("a journal that ends anywhere", "what was whole is reported", folders.cut_journal, 0.5, 40),
    Kind("damaged folders", "a report or one sentence, never a traceback", folders.damaged, 1.0, 60),
    Kind("damaged folders of trainings and searches", "goes on or one sentence", trainings.damaged, 1.0, 15),
    Kind(
        "any value in a run's files",
        "a report or one sentence",
        fuzz.fuzzed(fuzz.FOLDERS, fuzz.folder),
        0.5,
        3,
        fuzz.EXAMPLES,
    ),
    Kind(
        "kills",
        "gone on with, every cell once (the baseline again beside missing ones), nothing left behind",
        kills.resumed,
        22.0,
        4,
    ),
    Kind("several that go on with one run", "one does, the others say so; every cell once", kills.owned, 0.5, 1),
    Kind("a run beside one that is killed", "nothing of the other is ended, removed or counted", kills.beside, 0.5, 1),
    Kind("plug-ins that misbehave", "a status with a reason; the others are measured", plugins.behaviour, 3.0, 6),
    Kind("plug-ins that misbehave when imported", "one sentence, or a row", plugins.importing, 0.5, 5),
    Kind("plug-ins whose import does not end", "one sentence, or a row, after a minute", plugins.never_imported, 0.5, 1),
    Kind("declarations that say nonsense", "one sentence, or a row with a reason", plugins.declaration, 1.0, 4),
    Kind("names", SENTENCE, plugins.name, 0.5, 4),
    Kind("terminals and locales", "nothing measured is lost", surroundings.output, 1.0, 4),
    Kind("full disks", "one sentence; goes on when there is room", surroundings.full_disk, 1.0, 3),
    Kind("users without a place to write", "what can run runs", surroundings.poor, 1.0, 1),
)
