"""Makes a release: what people deploy and run without a toolchain. docs/release.md says how."""
