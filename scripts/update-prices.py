#!/usr/bin/env python3
"""Makes sql/data/price_catalogue.json from LiteLLM's price map.

usage: update-prices.py model_prices_and_context_window_backup.json LITELLM_VERSION > sql/data/price_catalogue.json

The map flattens three dimensions into key names, `<unit>[_above_<N>k_tokens][_<tier>]`, in US dollars per token.
Here every rate is a row of its own, in dollars per million tokens, taken from the literal text of the number.
"""

import json
import re
import sys
from decimal import Decimal

PROVIDERS = {"openai", "anthropic", "gemini", "deepseek", "voyage", "mistral", "cohere", "dashscope", "xai", "groq"}
MODES = {"chat", "responses", "completion", "embedding"}
UNITS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
}
TIERS = {None: "standard", "batches": "batch", "flex": "flex", "priority": "priority"}
KEY = re.compile(
    "^(" + "|".join(sorted(UNITS, key=len, reverse=True)) + r")(?:_above_(\d+)k_tokens)?(?:_(batches|flex|priority))?$"
)
# Unit errors of the source: a thousand times the price of their siblings.
WRONG = {"embed-multilingual-light-v3.0"}


def per_million(usd_per_token):
    number = (Decimal(usd_per_token) * 1_000_000).quantize(Decimal("0.000000001")).normalize()
    return format(number, "f")


def flat_rates(entry, above_or_at):
    for key, value in entry.items():
        match = KEY.match(key)
        if match and value is not None:
            unit, thousands, tier = match.groups()
            above = int(thousands) * 1000 - (1 if above_or_at else 0) if thousands else 0
            yield UNITS[unit], TIERS[tier], above, value


def tiered_rates(entry):
    """A row of `tiered_pricing` is complete: what it leaves out costs the row's own input rate."""
    for row in entry.get("tiered_pricing", []):
        above = int(row["range"][0])
        for key, unit in UNITS.items():
            if key in row:
                yield unit, "standard", above, row[key]
        for unit in ("cache_read", "cache_write"):
            if not any(UNITS[key] == unit for key in row if key in UNITS):
                yield unit, "standard", above, row["input_cost_per_token"]


def off_peak_rates(entry):
    for key, value in entry.get("off_peak_pricing", {}).items():
        if key in UNITS:
            yield UNITS[key], "off_peak", 0, value


def windows(entry):
    """(ISO weekdays, from, until) in UTC; until 24:00 is the day's end."""
    for window in entry.get("off_peak_pricing", {}).get("windows", []):
        hours = window["hours_utc"]
        for span in [hours] if isinstance(hours, str) else hours:
            start, end = span.split("-")
            yield window["weekdays"], start, "24:00" if end == "00:00" else end


def multipliers(entry):
    specific = entry.get("provider_specific_entry", {})
    if "us" in specific:
        yield "inference_geo", "us", specific["us"]
    if "fast" in specific:
        yield "speed", "fast", specific["fast"]
    for region in ("eu", "us"):
        key = f"regional_processing_uplift_multiplier_{region}"
        if key in entry:
            yield "data_residency", region, entry[key]


def main():
    path, version = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        price_map = json.load(file, parse_float=str, parse_int=str)
    rates, spans, factors = [], [], []
    for model, entry in sorted(price_map.items()):
        provider = entry.get("litellm_provider")
        if provider not in PROVIDERS or entry.get("mode") not in MODES or model in WRONG:
            continue
        entry = json.loads(json.dumps(entry))
        for row in entry.get("tiered_pricing", []):
            row["range"] = [Decimal(bound) for bound in row["range"]]
        seen = {}
        at = provider == "xai"  # its thresholds are "from", all others are "above"
        for rate in [*tiered_rates(entry), *flat_rates(entry, at), *off_peak_rates(entry)]:
            seen.setdefault(rate[:3], per_million(rate[3]))
        rates += [[model, provider, *key, value] for key, value in sorted(seen.items())]
        spans += [[model, [int(day) for day in days], start, end] for days, start, end in windows(entry)]
        factors += [[model, kind, value, factor] for kind, value, factor in multipliers(entry)]

    def rows(values, numbers):
        lines = []
        for row in values:
            cells = [cell if i in numbers else json.dumps(cell) for i, cell in enumerate(row)]
            lines.append("    [" + ", ".join(map(str, cells)) + "]")
        return "[\n" + ",\n".join(lines) + "\n  ]"

    print("{")
    print(f'  "source": "LiteLLM {version}, model_prices_and_context_window_backup.json (MIT)",')
    print('  "rates": ' + rows(rates, {4, 5}) + ",")
    print('  "windows": ' + rows(spans, set()) + ",")
    print('  "multipliers": ' + rows(factors, {3}))
    print("}")


main()
