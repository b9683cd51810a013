#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (60) from seeds made of captures/. Without a nightly compiler, which the
# sanitizers need, it runs the mutation tests instead and says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${FUZZ_SECONDS:-60}
cargo=${CARGO:-cargo}
version=0.13.2 # of cargo-fuzz

fall_back() {
    echo "fuzz: $1; running the mutation tests instead" >&2
    exec make --no-print-directory mutations
}

rustup run nightly rustc --version >/dev/null 2>&1 || fall_back "no nightly compiler ('rustup toolchain install nightly')"
command -v c++ >/dev/null || ${SUDO:-} apt-get install -y -qq --no-install-recommends g++ >/dev/null 2>&1 ||
    fall_back "no C++ compiler for libFuzzer"
if [ "$($cargo fuzz --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
    $cargo install --locked cargo-fuzz@$version || fall_back "cargo-fuzz $version could not be installed"
fi

# The seeds have names, so that a report says what it began with; what the fuzzer finds is added beside them.
$cargo run --quiet --locked --manifest-path fuzz/Cargo.toml --example seeds -- captures fuzz/corpus
status=0
for target in decode reader conns texts; do
    echo "fuzz: $target for $seconds s, $(find fuzz/corpus/$target -type f | wc -l) inputs to begin with"
    # 1 GiB with the sanitizer, 10 s an input: a reader that hoards or spins is a finding.
    RUSTUP_TOOLCHAIN=nightly $cargo fuzz run --fuzz-dir fuzz "$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=32768 -print_final_stats=1 || status=1
done
exit $status
