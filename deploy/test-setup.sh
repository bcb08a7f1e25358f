#!/bin/sh
# Installs what only tests need and Go can't bring: a headless Chromium for the page's test. Without the right to
# install, that test says that it was skipped and why; nothing else depends on it.
set -eu
command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing chromium for the page's test"
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 ||
		echo "chromium could not be installed: the page's test will be skipped" >&2
else
	echo "no chromium here: the page's test will be skipped" >&2
fi
