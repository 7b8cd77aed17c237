# Shortcuts. Nothing here is needed: each recipe is one plain command or two.

# Format, lint and test: what to run before a commit.
dev: fmt lint test

# Everything the continuous integration runs.
ci:
    ./.ci/run

# Set up the test tools and run every test.
test:
    ./tests/run

# Format the code.
fmt:
    cargo fmt

# Clippy on all targets, and the core without its outer rooms.
lint:
    cargo clippy --all-targets --locked -- -D warnings
    cargo check --no-default-features --locked

# Build the API documentation; a broken link is an error.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# Build the book into book/book.
book:
    mdbook build book

# Walk through the main job on a throw-away vault.
demo:
    cargo run --release --locked -- demo

# Run the benchmarks.
bench:
    cargo bench --locked

# Check licences, advisories and sources of the dependencies.
deny:
    cargo deny check
