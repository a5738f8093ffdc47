"""The suite as a pytest plugin: starts the target once, hands it to every worker, turns tests into verdicts.

Under pytest-xdist the leading process starts the target and writes the reports; workers get the target's description
as plain strings.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import urllib3

from conformance import engine
from conformance.claims import Claim, Verdict, claim_of
from conformance.cluster import Cluster, NodeLostError
from conformance.kube import RefusedError
from conformance.lab import Lab
from conformance.record import NotRealError, fingerprint_name, place_of, record, record_claims, write_claims
from conformance.recordings import recordings
from conformance.report import Judgement, Reporter, UnreadableError
from conformance.targets import Description, Finding, Fingerprint, Options, Target, TargetUnavailableError, start

__all__: list[str] = []

_HERE = Path(__file__).parent
_TARGET = pytest.StashKey[Target]()
_STACK = pytest.StashKey[contextlib.ExitStack]()
_JUDGED = pytest.StashKey[dict[tuple[str, str], Judgement]]()
_REPORTER = pytest.StashKey[Reporter]()
_EVIDENCE = pytest.StashKey[list[str]]()
_MISUSED = pytest.StashKey[str]()
_EVERY_NODE = "node"
_XDIST = "imgvol_target"
_REAL_SECONDS = 900.0
_LONGEST = 63
_UNAUTHORIZED = 401
_REFUSED_BY_TARGET = range(400, 500)
# The worst of the verdicts that the phases of one test bring is the claim's.
_WORST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.UNSUPPORTED, Verdict.SKIPPED, Verdict.PASS)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.timeout is None and (
        config.option.kubeconfig or config.option.aks or config.option.target != "emulator"
    ):
        # Before pytest-timeout looks: real nodes take the time that the emulator's clock jumps over.
        config.option.timeout = _REAL_SECONDS
    config.addinivalue_line("markers", "claim(claim): the test judges a claim about the target")
    config.stash[_JUDGED] = {}
    if _leads(config):
        if not config.option.xmlpath:
            config.option.xmlpath = str(_reports(config) / "junit.xml")
        config.stash[_REPORTER] = _reporter(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the claims that `--claim` asks for, if it asks for any; those of every node with `--every-node` only."""
    if not (config.option.every_node or config.option.collectonly):
        items[:] = [item for item in items if not (claim := claim_of(item)) or claim.topic != _EVERY_NODE]
    patterns: list[str] = config.option.claim
    if not patterns:
        return
    claims = {item: claim_of(item) for item in items}
    ids = {claim.id for claim in claims.values() if claim}
    if unknown := [pattern for pattern in patterns if not fnmatch.filter(ids, pattern)]:
        said = f"--claim: no claim is called {', '.join(unknown)}; docs/claims.md lists them all"
        if not hasattr(config, "workeroutput"):
            raise pytest.UsageError(said)
        # An error here would look like a crash of the worker: the leading process says it in the end.
        config.workeroutput[_XDIST] = said
        items.clear()
        return
    kept = [item for item, claim in claims.items() if claim and any(fnmatch.fnmatch(claim.id, p) for p in patterns)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Judge every claim once a node pool, where the target has pools."""
    target = metafunc.config.stash.get(_TARGET, None)
    if target and target.description.pools and "pool" in metafunc.fixturenames:
        metafunc.parametrize("pool", target.description.pools, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workerinput"):
        if text := config.workerinput.get(_XDIST):
            config.stash[_TARGET] = Target(Description.from_json(text))
        return
    if not _leads(config):
        return
    stack = config.stash[_STACK] = contextlib.ExitStack()
    try:
        target = Target(stack.enter_context(start(_options(config))))
        _ = target.fingerprint  # for the reports, which are written even if nothing answers any more
    except TargetUnavailableError as unavailable:
        if unavailable.findings:
            _report_without_target(config, unavailable.findings)
        pytest.exit(f"no target: {unavailable}", returncode=1)
    config.stash[_TARGET] = target
    for finding in target.description.findings:
        judgement = _found(finding)
        config.stash[_JUDGED][judgement.claim.id, judgement.pool] = judgement
    if config.option.record and target.description.pools:
        pytest.exit("--record: recordings are of one node image: leave --pool out", returncode=1)
    if config.option.record:
        try:
            place_of(target, _observations(config))
        except NotRealError as error:
            pytest.exit(f"--record: {error}", returncode=1)
    if config.option.record in {"all", "cases", "missing"}:
        for path in record(target, _observations(config), skip=_recorded(config, target)):
            print(f"recorded {path.relative_to(config.rootpath)}")
    Lab.prepare(target, _shared(target))
    engine.prepare(target, _shared(target))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the running target to a worker (a hook of pytest-xdist)."""
    if target := node.config.stash.get(_TARGET, None):
        node.workerinput[_XDIST] = target.description.to_json()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear from a worker what was asked for that there is not (a hook of pytest-xdist)."""
    if said := getattr(node, "workeroutput", {}).get(_XDIST):
        node.config.stash[_MISUSED] = said


def pytest_unconfigure(config: pytest.Config) -> None:
    if stack := config.stash.get(_STACK, None):
        stack.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    claim = claim_of(item)
    if claim is None:
        return report  # type: ignore[return-value]
    verdict, evidence = _verdict(item, claim, report, call)
    if verdict is None:
        return report  # type: ignore[return-value]
    cluster = item.funcargs.get("cluster")  # type: ignore[attr-defined]
    if isinstance(cluster, Cluster):
        evidence = cluster.redacted(evidence)
        if verdict in {Verdict.FAIL, Verdict.ERROR} and call.when == "call":
            report.sections.append(("what the target shows", cluster.evidence()))
    if verdict is Verdict.UNSUPPORTED:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"unsupported: {evidence}")
    elif verdict is Verdict.FAIL and report.passed:
        report.outcome = "failed"
        report.longrepr = evidence
    told = {
        "claim": claim.id,
        "says": claim.says,
        "source": claim.source,
        "verdict": str(verdict),
        "evidence": evidence,
        "pool": _pool(item),
    }
    report.user_properties += [*told.items(), ("seconds", f"{call.duration:.3f}")]
    return report  # type: ignore[return-value]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    told = {str(name): str(value) for name, value in report.user_properties}
    if "verdict" in told:
        _told.append(told)


# The reports of this process, until `_collect` takes them; a hook for a report is not given the configuration.
_told: list[dict[str, str]] = []


def _collect(config: pytest.Config) -> list[Judgement]:
    judged = config.stash[_JUDGED]
    while _told:
        told = _told.pop(0)
        new = Judgement(
            Claim(told["claim"], told["says"], told["source"]),
            Verdict(told["verdict"]),
            float(told["seconds"]),
            told["evidence"],
            told["pool"],
        )
        old = judged.get((new.claim.id, new.pool), new)
        judged[new.claim.id, new.pool] = min(new, old, key=lambda one: _WORST_FIRST.index(one.verdict))
    return list(judged.values())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if not _leads(config) or _TARGET not in config.stash:
        return
    if said := config.stash.get(_MISUSED, ""):
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
        print(f"\nERROR: {said}")
        return
    judged = _collect(config)
    target = config.stash[_TARGET]
    secrets = [endpoint.password for endpoint in (target.registry, target.private) if endpoint]
    reporter = config.stash[_REPORTER]
    regressed = reporter.finish(target.fingerprint, judged, secrets=secrets, junit=Path(config.option.xmlpath))
    if config.option.record in {"all", "claims", "missing"}:
        recorded = list(record_claims(target, _observations(config), judged))
        print(f"\nrecorded {len(recorded)} claims")
    if config.option.verdicts:
        list(write_claims(target, Path(config.option.verdicts), judged))
    looked_bad = any(finding.verdict == Verdict.FAIL for finding in target.description.findings)
    nothing_said = not any(one.verdict in {Verdict.PASS, Verdict.FAIL, Verdict.ERROR} for one in judged)
    if (nothing_said or regressed or looked_bad) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not _leads(config) or _TARGET not in config.stash:
        return
    fingerprint = config.stash[_TARGET].fingerprint
    terminalreporter.section(f"claims on {fingerprint.target}")
    for node in fingerprint.nodes:
        terminalreporter.write_line(
            f"  {node.name}: kubelet {node.kubelet}, {node.runtime}, {node.os_image}, {node.kernel} {node.architecture}"
        )
    for line, colour in config.stash[_REPORTER].lines:
        terminalreporter.write_line(line, **({colour: True} if colour else {}))
    terminalreporter.write_line(f"  reports: {_reports(config)}")


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Target:
    """The target of this run."""
    return pytestconfig.stash[_TARGET]


@pytest.fixture
def pool(request: pytest.FixtureRequest, target: Target) -> Target:
    """What of the target the test is about: one pool of its nodes, or all of it where there are no pools."""
    return target.of_pool(getattr(request, "param", ""))


@pytest.fixture
def cluster(request: pytest.FixtureRequest, pool: Target) -> Iterator[Cluster]:
    """A namespace of the test's own, deleted afterwards whatever happened in it."""
    made = Cluster(pool, _name(request.node, pool))
    yield made
    made.remove()


@pytest.fixture
def lab(request: pytest.FixtureRequest, pool: Target, cluster: Cluster) -> Lab:
    """The test's own repositories, and the ways to run cases in its namespace."""
    name = _name(request.node, pool)
    return Lab(cluster, f"{pool.description.run}/{name}", _shared(pool), nonce=name)


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> list[str]:
    """What was seen, a line each, for the report of a claim that passes."""
    lines: list[str] = request.node.stash.setdefault(_EVIDENCE, [])
    return lines


def _verdict(
    item: pytest.Item, claim: Claim, report: pytest.TestReport, call: pytest.CallInfo[None]
) -> tuple[Verdict | None, str]:
    lines: list[str] = item.stash.get(_EVIDENCE, [])
    seen = "\n".join(lines)
    error = call.excinfo.value if call.excinfo else None
    if report.skipped:
        return Verdict.SKIPPED, str(error)
    if isinstance(error, RefusedError) and error.code == _UNAUTHORIZED:
        return Verdict.ERROR, f"the cluster takes the suite's sign-in no more: {error}"
    if call.when != "call":
        return (Verdict.ERROR, f"{type(error).__name__}: {error}") if report.failed else (None, "")
    lacks = item.config.stash[_TARGET].of_pool(_pool(item)).lacks
    lacking = {need: lacks[need] for need in claim.needs if need in lacks}
    reasons = "; ".join(f"no {need}: {reason}" for need, reason in lacking.items())
    if report.passed:
        if lacking:
            return (
                Verdict.FAIL,
                f"the target declares what this claim needs missing, yet the claim holds ({reasons})",
            )
        return Verdict.PASS, seen
    if isinstance(error, NodeLostError):
        return Verdict.ERROR, str(error)
    if trouble := _trouble(item):
        # Whatever failed says nothing of the claim then.
        return Verdict.ERROR, f"{trouble}\n{type(error).__name__}: {error}"
    if _is_the_targets_doing(error):
        told = "\n".join(filter(None, (str(error), seen, *_known(item, claim))))
        return (Verdict.UNSUPPORTED, reasons) if lacking else (Verdict.FAIL, told)
    return Verdict.ERROR, f"{type(error).__name__}: {error}"


def _trouble(item: pytest.Item) -> str:
    """What has become of the nodes that a failed claim was judged on, if something has."""
    cluster = item.funcargs.get("cluster")  # type: ignore[attr-defined]
    try:
        return cluster.lost() if isinstance(cluster, Cluster) else ""
    except (RefusedError, OSError, urllib3.exceptions.HTTPError) as error:
        return f"the cluster answers no more: {error}"


def _known(item: pytest.Item, claim: Claim) -> list[str]:
    """What was found of the claim's pool beforehand that makes it fail."""
    about = {"image-volumes"} if "mounts" in claim.needs else set()
    about |= {"subpath"} if claim.topic == "subpath" else set()
    return [
        f"preflight/{finding.check}: {finding.evidence}"
        for finding in item.config.stash[_TARGET].description.findings
        if finding.check in about and finding.pool == _pool(item) and finding.verdict == Verdict.FAIL
    ]


def _is_the_targets_doing(error: BaseException | None) -> bool:
    if isinstance(error, RefusedError):
        return error.code in _REFUSED_BY_TARGET
    return isinstance(error, AssertionError | pytest.fail.Exception)


def _name(node: pytest.Item, target: Target) -> str:
    claim = claim_of(node)
    name = claim.id.replace("/", "-") if claim else node.name.lower().replace("_", "-")
    whole = "-".join(filter(None, (target.description.run, target.pool, name)))
    # Longer names are cut where a namespace's must end, and told apart by a sum of the whole.
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 9].rstrip('-')}-{zlib.crc32(whole.encode()):08x}"


def _pool(item: pytest.Item) -> str:
    """The node pool that a test is about; empty for the whole target."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("pool", "")) if callspec else ""


def _shared(target: Target) -> str:
    """Where the repositories are that all tests of a run use."""
    return f"{target.description.run}/shared"


def _recorded(config: pytest.Config, target: Target) -> set[str]:
    """The cases that need not be recorded again."""
    if config.option.record != "missing":
        return set()
    here = fingerprint_name(target.fingerprint)
    return {case for recording in recordings() if recording.fingerprint == here for case in recording.cases}


def _observations(config: pytest.Config) -> Path:
    return config.rootpath / "fixtures" / "observations"


def _reports(config: pytest.Config) -> Path:
    return Path(config.option.report) if config.option.report else config.rootpath / "build" / "report"


def _options(config: pytest.Config) -> Options:
    given: dict[str, Any] = {field.name: getattr(config.option, field.name) for field in dataclasses.fields(Options)}
    # What may be given more than once comes in a list, and is empty by default.
    return Options(**given | {name: tuple(value) for name, value in given.items() if isinstance(value, list)})


def _found(finding: Finding) -> Judgement:
    """What was looked at before the run, as the reports have it."""
    claim = Claim(f"preflight/{finding.check}", finding.says, finding.source)
    return Judgement(claim, Verdict(finding.verdict), 0.0, finding.evidence, finding.pool)


def _report_without_target(config: pytest.Config, findings: Sequence[Finding]) -> None:
    """The reports of a run that judges no claim: what stood in its way."""
    reporter = config.stash[_REPORTER]
    reporter.finish(Fingerprint("no target", "", "", ()), [_found(finding) for finding in findings])
    for line, _ in reporter.lines:
        print(line)
    print(f"  reports: {_reports(config)}")


def _reporter(config: pytest.Config) -> Reporter:
    chosen = _options(config)
    options = {
        field.name: getattr(chosen, field.name)
        for field in dataclasses.fields(Options)
        if getattr(chosen, field.name) != field.default
    }
    if config.option.claim:
        options["claim"] = " ".join(config.option.claim)
    baseline = Path(config.option.baseline) if config.option.baseline else None
    try:
        return Reporter(_reports(config), baseline=baseline, options=options)
    except UnreadableError as error:
        pytest.exit(f"--baseline: {error}", returncode=2)


def _leads(config: pytest.Config) -> bool:
    """Whether this process runs the suite, rather than working for one that does or running other tests alone."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return False
    paths = [(config.invocation_params.dir / str(arg).split("::")[0]).resolve() for arg in config.args]
    return any(path.is_relative_to(_HERE) or _HERE.is_relative_to(path) for path in paths)
