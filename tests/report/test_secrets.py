"""No secret gets into a report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.report import Reporter
from conformance.report.secrets import scrub

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"
SECRET = "s3cr3t&<\"'pass"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"token {TOKEN} was", "token <redacted> was"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer <redacted>"),
        ("Authorization: Basic dXNlcjpwYXNz and", "Authorization: Basic <redacted> and"),
        ('{"Authorization": "Bearer abc123"}', '{"Authorization": "Bearer <redacted>"}'),
        ("https://me:hunter2@example.azurecr.io/v2/", "https://me:<redacted>@example.azurecr.io/v2/"),
        ('{"auths": {"r": {"auth": "dXNlcjpwYXNz"}}}', '{"auths": {"r": {"auth": "<redacted>"}}}'),
        (
            "grant_type=refresh_token&refresh_token=abcdef123456&scope=x",
            "grant_type=refresh_token&refresh_token=<redacted>&scope=x",
        ),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, left: str) -> None:
    assert scrub(text) == left
    assert scrub(scrub(text)) == left


@pytest.mark.parametrize(
    "text",
    [
        "failed to pull: 401 Unauthorized from 127.0.0.1:5000/lab/a@sha256:" + "a" * 64,
        "auth/pod-secret-is-used-for-image-volumes",
        "no basic auth credentials",
        "unexpected status from GET request to https://r/oauth2/token?scope=repository%3Aa%3Apull: 401",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrub(text) == text


@given(st.text(), st.text(), st.text(min_size=1))
def test_a_known_secret_is_gone(before: str, after: str, secret: str) -> None:
    assert secret not in scrub(before + secret + after, [secret]).replace("<redacted>", "") or secret in "<redacted>"


def test_no_report_of_a_run_has_a_secret(made, tmp_path, monkeypatch) -> None:
    step = tmp_path / "step.md"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    results = made({"": {"mount/a": "fail"}}, evidence=f"pulled with {SECRET} and {TOKEN}")
    junit = tmp_path / "junit.xml"
    junit.write_text(f'<testsuite value="{TOKEN} s3cr3t&amp;&lt;&quot;&#x27;pass">s3cr3t&amp;&lt;"\'pass</testsuite>')
    reporter = Reporter(tmp_path / "report", options={"registry": f"https://me:{SECRET}@r"})
    assert not reporter.finish(results.target, results.judged, secrets=[SECRET, ""], junit=junit)
    written = [*(tmp_path / "report").iterdir(), junit, step]
    assert {path.name for path in written} == {"results.json", "report.html", "summary.md", "junit.xml", "step.md"}
    told = "".join(path.read_text() for path in written) + "".join(line for line, _ in reporter.lines)
    for secret in (TOKEN, "s3cr3t", "hunter2"):
        assert secret not in told
    assert step.read_text().startswith("before\n## ")
    assert "redacted" in (tmp_path / "report" / "report.html").read_text()
