"""The document that says what comes back says what does."""

from what_comes_back import PATH, document


def test_the_tables_are_those_that_are_made_now():
    assert PATH.read_text(encoding="utf-8") == document(), (
        "run python tests/what_comes_back.py --write"
    )
