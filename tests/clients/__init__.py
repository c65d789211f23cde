"""Clients of other languages and versions on a live session: `make clients`. They come from npm."""
