"""Embeddings from a real model: an OpenAI-compatible endpoint where one is configured, else a small offline model, which can
be served as such an endpoint."""

import base64
import contextlib
import json
import os
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint:
    """OPENAI_API_KEY and/or EMBEDDINGS_URL (…/v1/embeddings of any compatible server), EMBEDDINGS_MODEL."""

    def __init__(self):
        self.url = os.environ.get("EMBEDDINGS_URL", "https://api.openai.com/v1/embeddings")
        self.model = os.environ.get("EMBEDDINGS_MODEL", "text-embedding-3-small")
        self.dimensions = len(self.embed(["dimensions?"])[0])

    @contextlib.contextmanager
    def served(self):
        yield self.url

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

    @contextlib.contextmanager
    def served(self, port=0):
        """The address of an OpenAI-compatible endpoint with this model, as long as the block lasts. Port 0: any free one."""
        server = ThreadingHTTPServer(("127.0.0.1", port), handler_of(self))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/embeddings"
        finally:
            server.shutdown()
            server.server_close()


def handler_of(model):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            vectors = model.weights.embed(asked["input"], norm=True).astype("<f4")
            as_base64 = asked.get("encoding_format") == "base64"
            data = [{"object": "embedding", "index": index, "embedding": base64.b64encode(vector).decode() if as_base64 else vector.tolist()}
                    for index, vector in enumerate(vectors)]
            body = json.dumps({"object": "list", "model": asked["model"], "data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def configured():
    online = os.environ.get("OPENAI_API_KEY") or os.environ.get("EMBEDDINGS_URL")
    return Endpoint() if online else Offline()


def serve(port):
    model = Offline()
    with model.served(port) as url:
        print(f"{model.model}, {model.dimensions} dimensions: {url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
