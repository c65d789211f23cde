"""The promises of the README, kept on a real browser."""
