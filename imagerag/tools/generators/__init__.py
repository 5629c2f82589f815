"""Image generators.

To add a generator, implement the `ImageGenerator` port in a module here and name its factory in
`tools/built_in_providers.py` (`BUILT_IN`, and `PRICED` if it is paid for, with its prices in
`tools/pricing/prices.toml`), and the function that lists its models in `tools/model_list.py` (`SOURCES`); for a hosted
service also its key in `tools/credentials.py` (`KEYS`), and its name in `tools/healthcheck.py` and
`graphs/configuration/trust_policy.py`. One that speaks the OpenAI protocol starts from `openai_generator.py`.
"""
