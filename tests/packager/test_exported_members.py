"""The public surface is `packager.__all__`: sorted, and all there."""

import packager


def test_everything_public_is_there_and_sorted() -> None:
    assert all(hasattr(packager, name) for name in packager.__all__)
    constants_last = sorted(packager.__all__, key=lambda name: (not name[0].isupper(), name))
    assert packager.__all__ == constants_last
