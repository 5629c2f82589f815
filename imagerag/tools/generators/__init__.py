"""Image generators: adapters behind the `ImageGenerator` port."""
