#!/bin/sh
# The functions have one HTTP stack and one TLS stack. The SDK crates' default features, or a careless
# dependency, bring a second, and with it seconds of build and milliseconds of cold start.
set -eu
for crate in hyper@0.14 h2@0.3 http@0.2 rustls@0.21 aws-lc-rs aws-lc-sys openssl openssl-sys native-tls s2n-tls; do
    if found=$(cargo tree --target all --edges normal,build --invert "$crate" 2>/dev/null) && [ -n "$found" ]; then
        echo "forbidden in the dependency tree: $crate, wanted by" >&2
        echo "$found" >&2
        exit 1
    fi
done
for crate in rustls hyper ring; do
    if ! cargo tree --edges normal,build --invert "$crate" >/dev/null 2>&1; then
        echo "more than one version of $crate in the dependency tree, or none" >&2
        exit 1
    fi
done
echo "one HTTP stack, one TLS stack: $(cargo tree --edges normal,build --prefix none --no-dedupe | sort -u | wc -l) crates"
