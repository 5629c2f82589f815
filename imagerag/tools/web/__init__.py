"""Libraries that search the web: `web:openverse`, `web:commons`, `web:brave`, `web:serper`, `web:http@URL`."""
