"""scripts/model serves the offline model as README says."""

import base64
import json
import re
import struct
import subprocess
import urllib.request

from conftest import ROOT


def ask(url, **parameters):
    body = json.dumps({"model": "any", "input": ["The wind falls at dusk.", "How do I renew my passport?"], **parameters}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=60) as answer:
        return [item["embedding"] for item in json.load(answer)["data"]]


def test_scripts_model_answers_as_an_endpoint_of_embeddings():
    with subprocess.Popen([ROOT / "scripts" / "model", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            model, dimensions, url = re.fullmatch(r"(\S+), (\d+) dimensions: (\S+)\n", process.stdout.readline()).groups()
            assert f"register_model('{model}', {dimensions})" in (ROOT / "README.md").read_text()
            numbers = ask(url)
            assert [len(vector) for vector in numbers] == [int(dimensions)] * 2 and numbers[0] != numbers[1]
            encoded = [struct.unpack(f"<{dimensions}f", base64.b64decode(text)) for text in ask(url, encoding_format="base64")]
            assert [list(vector) for vector in encoded] == numbers
        finally:
            process.terminate()
