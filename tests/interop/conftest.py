"""A skipped test here means that a framework was not tested: it fails."""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure here: {report.longrepr}"
    return report


def pytest_collectreport(report):
    if report.skipped:
        report.outcome = "failed"
