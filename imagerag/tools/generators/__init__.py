"""Image generators.

To add a generator, implement the `ImageGenerator` port in a module here and name its factory in `tools/registry.py`.
One that speaks the OpenAI protocol starts from `base.py`.
"""
