#!/bin/sh
# Fails when the checked-in generated code is not what its .proto files say. Works on a copy: it changes nothing.
set -eu
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files '*.proto' buf.yaml buf.gen.yaml go.mod go.sum | tar -cf - -T - | tar -xf - -C "$copy"
(cd "$copy" && go run github.com/bufbuild/buf/cmd/buf@v1.75.0 lint &&
	go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate)
(cd "$copy" && find . -name '*.pb.go' -o -name '*.connect.go') | while read -r f; do
	cmp -s "$copy/$f" "$f" || { echo "$f is not what its .proto says: run make generate" >&2; exit 1; }
done
