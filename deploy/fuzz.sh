#!/bin/sh
# Runs every fuzz test of the module for the time given (default 10s), one after the other.
set -eu
cd "$(dirname "$0")/.."
time=${1:-10s}
grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -h -o '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -c6- | while read -r name; do
		echo "== $dir $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$dir"
	done
done
