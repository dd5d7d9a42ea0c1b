"""The daemon as a process of its own, killed and started again while calls are up: see docs/architecture.rst, "Tests"."""
