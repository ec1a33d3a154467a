"""The examples of `docs/python.md` print what they show there."""

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.skipif(not PAGE.exists(), reason="without the repository")
def test_examples_print_what_is_shown():
    # The end of a block ends what an example prints.
    text = PAGE.read_text().replace("\n```", "\n\n```")
    page = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    said = []
    runner = doctest.DocTestRunner(verbose=False)
    failed, tried = runner.run(page, out=said.append)
    assert tried > 5 and failed == 0, "".join(said)
