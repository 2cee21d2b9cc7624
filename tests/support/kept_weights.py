"""Where the weights of a finished training lie."""

from suite.records.trainings import Trainings


def find_kept(folder, of):
    """Return the file in `folder` that holds the weights of the cell `of`."""
    found = Trainings([of]).key(of).find_weights(folder)
    assert found is not None, f"no weights of {of.label} in {folder}"
    return found
