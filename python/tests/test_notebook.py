"""The notebook of `examples/` runs from its first cell to its last, and a second time with the same output."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebook is not run without nbformat")
nbclient = pytest.importorskip("nbclient", reason="the notebook is not run without nbclient")
pytest.importorskip("ipykernel", reason="the notebook is not run without ipykernel")
pytest.importorskip("pandas", reason="the notebook is not run without pandas")

NOTEBOOK = Path(__file__).parents[1] / "examples" / "attention.ipynb"


def outputs(book, folder):
    ran = nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    said = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.get("data", {}).get("text/plain") for output in said if output.output_type == "execute_result"]
    return shown + ["".join(output.text for output in said if output.output_type == "stream" and output.name == "stdout")]


@pytest.mark.skipif(not NOTEBOOK.exists(), reason="without the repository")
def test_the_notebook_runs_and_prints_the_same_again(tmp_path):
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    assert len(book.cells) == 10
    assert not any(cell.get("outputs") for cell in book.cells), "it is kept without outputs"
    first, second = (outputs(nbformat.read(NOTEBOOK, as_version=4), tmp_path) for _ in range(2))
    assert first == second and len(first) == 6
    assert "lower" in first[0] and "linformer:l=8" in first[-1]
