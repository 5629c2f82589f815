"""What all adapters of the OpenAI protocol share: client, errors, refused options, retry delay."""
