"""A process that was forked tracks its own memories, and its parent goes on tracking."""

from __future__ import annotations

import json

from tests.pages.programs import output_of


def test_trackers_work_in_forked_processes_and_on_in_their_parents() -> None:
    found = json.loads(output_of("tests.pages.forked"))
    assert set(found) >= {"compare", "portable"}
    in_child = [[2, 20], [], [3, 20], [1], [], [1]]
    for name, of_backend in found.items():
        assert of_backend["before"] == [1, 5], name
        assert of_backend["in a fork"] == of_backend["in a fork of a fork"] == in_child, name
        assert of_backend["after"] == [6, 7], name


def test_a_fork_has_worlds_of_its_own_and_is_refused_those_of_its_parent() -> None:
    for name, of_backend in json.loads(output_of("tests.pages.forked")).items():
        worlds = of_backend["worlds"]
        assert worlds == {"in a fork": [True, True, True, True, 3], "value": 1, "later": 2}, name
