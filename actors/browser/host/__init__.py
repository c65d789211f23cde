"""The browser host: an asyncio process, apart from the Trio daemon, in which Scrapling and Playwright run."""
