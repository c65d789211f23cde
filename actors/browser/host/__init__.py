"""The browser host: an asyncio process, separate from the Trio daemon, that runs Scrapling and Playwright."""
