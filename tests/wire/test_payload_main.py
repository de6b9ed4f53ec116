"""What a user's program defines in ``__main__`` works in processes that have another ``__main__``, and comes back as
itself."""

from __future__ import annotations

import pytest

from tests.wire import elsewhere, program


@pytest.mark.parametrize("check", program.CHECKS, ids=lambda check: check.__name__)
def test_in_main(check: object) -> None:
    name = check.__name__  # type: ignore[attr-defined]
    assert elsewhere.run([program.__file__, name]) == b"done\n"
