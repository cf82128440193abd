"""Embeddings from a real model: an OpenAI-compatible endpoint where one is configured, else a small offline model."""

import json
import os
import urllib.request


class Endpoint:
    """OPENAI_API_KEY and/or EMBEDDINGS_URL (…/v1/embeddings of any compatible server), EMBEDDINGS_MODEL."""

    def __init__(self):
        self.url = os.environ.get("EMBEDDINGS_URL", "https://api.openai.com/v1/embeddings")
        self.model = os.environ.get("EMBEDDINGS_MODEL", "text-embedding-3-small")
        self.dimensions = len(self.embed(["dimensions?"])[0])

    def embed(self, texts):
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        body = json.dumps({"model": self.model, "input": texts}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=120) as answer:
            data = json.load(answer)["data"]
        return [item["embedding"] for item in sorted(data, key=lambda item: item["index"])]


class Offline:
    """WordLlama: 256 dimensions, its weights come in the Python package."""

    model = "wordllama-l2-supercat-256"
    dimensions = 256

    def __init__(self):
        import wordllama

        folder = os.path.dirname(wordllama.__file__)
        self.weights = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)

    def embed(self, texts):
        return self.weights.embed(texts, norm=True).tolist()


def configured():
    online = os.environ.get("OPENAI_API_KEY") or os.environ.get("EMBEDDINGS_URL")
    return Endpoint() if online else Offline()
