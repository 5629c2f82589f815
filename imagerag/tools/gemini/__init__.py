"""Google's Gemini API through google-genai: account, requests, errors, image models, web sources."""
