"""Services by name: address, key, limits and roles of servers that speak OpenAI's protocol; the choice of `auto`."""
