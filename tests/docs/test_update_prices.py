"""scripts/update-prices.py: what it reads, what it leaves out and reports, and that no row stops it."""

import json
import random
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "update-prices.py"
CHAT = {"litellm_provider": "openai", "mode": "chat"}


def run(tmp_path, price_map, older=None):
    (tmp_path / "map.json").write_text(json.dumps(price_map))
    arguments = [tmp_path / "map.json", "1.0"]
    if older:
        (tmp_path / "older.json").write_text(json.dumps(older))
        arguments.append(tmp_path / "older.json")
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout), done.stderr


def test_a_rate_is_a_key_of_unit_threshold_and_tier(tmp_path):
    catalogue, report = run(tmp_path, {"m": {
        **CHAT, "input_cost_per_token": 1e-6, "output_cost_per_token_above_200k_tokens_flex": 2e-6, "cache_read_input_token_cost_batches": 4.0000000000000003e-7,
        "search_context_cost_per_query": {"search_context_size_low": 0.03, "search_context_size_medium": 0.035}, "fedramp_uplift_multiplier": 1.1}})
    assert catalogue["models"]["m"] == ["openai", {"cache_read:batch": 0.4, "input": 1, "output>200000:flex": 2, "web_search": 35000}]
    assert catalogue["multipliers"] == [["m", "data_residency", "fedramp", 1.1]]
    assert report == ""


def test_off_peak_days_in_another_zone_become_days_in_utc(tmp_path):
    catalogue, _ = run(tmp_path, {"m": {**CHAT, "input_cost_per_token": 1e-6, "off_peak_pricing": {
        "input_cost_per_token": 5e-7, "weekday_timezone": "Asia/Shanghai", "windows": [{"hours_utc": "10:00-00:00", "weekdays": [1]}]}}})
    assert catalogue["windows"] == [["m", [1], "10:00", "16:00"], ["m", [7], "16:00", "24:00"]]
    assert catalogue["models"]["m"][1]["input:off_peak"] == 0.5


def test_suspicious_models_are_left_out_and_reported(tmp_path):
    catalogue, report = run(tmp_path, {
        "free": {**CHAT, "input_cost_per_token": 0, "output_cost_per_token": 0}, "ollama/own": {**CHAT, "litellm_provider": "ollama", "input_cost_per_token": 0},
        "dear": {**CHAT, "input_cost_per_token": 1e-3}, "cheap": {**CHAT, "input_cost_per_token": 1e-10}, "no price": CHAT})
    assert set(catalogue["models"]) == {"local", "ollama/own", "wordllama-l2-supercat-256"}
    assert [line.split(":")[0] for line in report.splitlines()] == ["cheap", "dear", "free"]


def test_a_model_that_the_map_no_longer_has_keeps_its_rates(tmp_path):
    older, _ = run(tmp_path, {"gone": {**CHAT, "input_cost_per_token": 1e-6}, "kept": {**CHAT, "input_cost_per_token": 1e-6}})
    catalogue, _ = run(tmp_path, {"kept": {**CHAT, "input_cost_per_token": 2e-6}}, older)
    assert (catalogue["models"]["gone"], catalogue["models"]["kept"]) == (["openai", {"input": 1}], ["openai", {"input": 2}])
    again, _ = run(tmp_path, {"kept": {**CHAT, "input_cost_per_token": 2e-6}}, catalogue)
    assert again == catalogue


def test_no_shape_of_a_row_stops_the_script(tmp_path):
    draw = random.Random(1)
    shapes = [None, True, 0, -1, 1e308, "x", "", "1e-7", "NaN", "Infinity", "1e999999", [], {}, [None], [[0, 1]], {"a": 1}, [{"range": [0, 1]}],
              [{"range": ["x"]}], [{"range": [], "input_cost_per_token": 1}], [{"range": [0], "input_cost_per_token": 1e-6}], "00:00-01:00"]
    keys = ["input_cost_per_token", "output_cost_per_token_above_200k_tokens_flex", "tiered_pricing", "off_peak_pricing", "search_context_cost_per_query",
            "provider_specific_entry", "litellm_provider", "mode", "fedramp_uplift_multiplier", "output_cost_per_second", "alias_of"]
    price_map = {f"row {n}": shape for n, shape in enumerate(shapes)}
    for n in range(1000):
        windows = [{"hours_utc": draw.choice(shapes), "weekdays": draw.choice([*shapes, [1, 2]])}]
        price_map[f"m{n}"] = {**CHAT, "input_cost_per_token": 1e-6, **{key: draw.choice(shapes) for key in draw.sample(keys, 3)},
                              **draw.choice([{}, {"off_peak_pricing": {"windows": draw.choice([*shapes, windows]), "input_cost_per_token": draw.choice(shapes)}}])}
    catalogue, report = run(tmp_path, price_map)
    assert len(catalogue["models"]) > 300 and len(report.splitlines()) > 300
