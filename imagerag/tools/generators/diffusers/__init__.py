"""Pictures drawn in this process by diffusers pipelines (extra `diffusers`)."""
