"""Find the Chromium that the browser tests drive, or install one: python -m scripts.install_chromium

In this order: one that is on the PATH and runs; Debian's package, where this is root on a machine with apt;
and Playwright's own, which needs no rights but a download. Where the first works, no network is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find_chromium() -> str | None:
    """The path of a Chromium on the PATH that runs, else None.

    Each is asked for its version: on Ubuntu, chromium-browser may be a stub that only says to install a snap.
    """
    for name in NAMES:
        path = shutil.which(name)
        if path and _succeeds([path, "--version"], quiet=True):
            return path
    return None


def install_with_apt() -> bool:
    """Install Debian's chromium; False where this is not root, has no apt, or the package does not come."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # An update that fails for one of several sources leaves the others usable, so its status is not asked.
    _succeeds(["apt-get", "update"], environment=environment)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium", "fonts-liberation"]
    return _succeeds(install, environment=environment)


def install_with_playwright() -> bool:
    """Download Playwright's own Chromium; as root also the system libraries that it needs."""
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    if os.geteuid() == 0 and _succeeds([*command, "--with-deps"]):
        return True
    return _succeeds(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Print which Chromium the tests will drive; exit status 1 where none could be had."""
    del argv
    found = find_chromium()
    if found is None and install_with_apt():
        found = find_chromium()
    if found is not None:
        print(f"The browser tests will drive {found}.")
        return 0
    if install_with_playwright():
        print("The browser tests will drive Playwright's own Chromium.")
        return 0
    print(
        f"No Chromium could be had: none of {', '.join(NAMES)} runs from the PATH, "
        "and neither Debian's package nor Playwright's download could be installed. "
        "Install Chromium or Google Chrome, then try again.",
        file=sys.stderr,
    )
    return 1


def _succeeds(
    command: Sequence[str], *, environment: dict[str, str] | None = None, quiet: bool = False
) -> bool:
    out = subprocess.DEVNULL if quiet else None
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    except OSError:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
