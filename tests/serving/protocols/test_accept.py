"""What a client accepts, by RFC 9110's rules."""

import pytest

from maas.serving.protocols._accept import JSON, NPY, media_type, preferred

IDENTITY = "application/vnd.maas.identity+json"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/x-npy", NPY),
        ("application/x-npy, */*", NPY),
        ("application/json, application/x-npy", JSON),
        ("application/x-npy, application/json", NPY),
        ("application/x-npy;q=0.5, application/json;q=0.9", JSON),
        ("application/json;q=0, */*", NPY),
        ("Application/JSON; charset=utf-8", JSON),
        ("text/html, */*;q=0.1", JSON),
        (f"{IDENTITY}, */*;q=0.1", IDENTITY),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=none", None),
        ("", None),
        (",;,;q=,", None),
    ],
)
def test_the_form_that_a_client_likes_best(accept: str, form: str | None) -> None:
    assert preferred(accept, (JSON, NPY), (IDENTITY,)) == form


def test_a_media_type_is_without_parameters_and_in_lower_case() -> None:
    assert media_type(" Application/JSON ;charset=utf-8") == JSON
