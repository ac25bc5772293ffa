"""The record of figures, and the README that is made from it."""

import json

from studio.bench import README, RECORD, with_table


def test_the_readme_shows_the_record_and_nothing_else():
    record = json.loads(RECORD.read_text())
    assert with_table(README.read_text(), record) == README.read_text()


def test_every_row_has_its_baseline_target_seed_and_versions():
    for row in json.loads(RECORD.read_text()):
        for name in ("id", "value", "baseline", "target", "seed", "versions", "date"):
            assert row[name] not in (None, "", {}), (row["id"], name)
        assert row["ratio"] > 0


def test_the_readme_names_files_and_commands_that_exist():
    import re

    from studio.bench import ROOT

    text = README.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / link).exists(), link
    from studio.cli import COMMANDS, lab

    known = {command.__name__.rstrip("_") for command in COMMANDS} | {lab.info.name}
    assert set(re.findall(r"etude (\w+)", text)) <= known
