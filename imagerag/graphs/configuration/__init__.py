"""Configuration of a process: settings, a file of variables, specs that data may name, and allowed origins."""
