#!/usr/bin/env python3
"""Makes sql/data/price_catalogue.json from LiteLLM's price map. Reports rows that look wrong.

usage: update-prices.py MAP LITELLM_VERSION [OLDER_CATALOGUE] > price_catalogue.json

The map flattens three dimensions into key names, `<unit>[_above_<N>k_tokens][_<tier>]`, in US dollars per token, call,
image, second, … Here a model has its provider and its rates, in dollars per million of a unit, calculated from the literal text
of the number. A rate's key is `unit`, `unit>threshold`, `unit:tier` or `unit>threshold:tier`.

A model that the map no longer has keeps the rates that it has in OLDER_CATALOGUE: calls of that time still have a cost.
"""

import json
import re
import sys
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

# Key of the map, unit of ours.
UNITS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "input_cost_per_video_token": "input_video",
    "output_cost_per_image": "image",
    "input_cost_per_image": "image",
    "output_cost_per_video_per_second": "second",
    "output_cost_per_second": "second",
    "input_cost_per_second": "second",
    "input_cost_per_character": "character",
    "ocr_cost_per_page": "page",
    "input_cost_per_query": "query",
}
BY_NUMBER = {"image", "second", "character", "page", "query", "web_search"}
# Any word may end a key: it is the tier. These three differ from the names in `service_tier`.
TIERS = {"": "standard", "batches": "batch"}
KEY = re.compile(
    "^(" + "|".join(sorted(UNITS, key=len, reverse=True)) + r")(?:_above_(\d+)k_tokens)?(?:_([a-z]+))?$"
)
HOURS = re.compile("^((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])$")
DAY = 24 * 60
# Not tiers, but prices of something else, such as a resolution.
NOT_TIERS = {"interval"}

# The provider that sends the bill, where the map's provider names a part of it.
PROVIDERS = {
    "azure_text": "azure",
    "bedrock_converse": "bedrock",
    "bedrock_mantle": "bedrock",
    "cohere_chat": "cohere",
    "fireworks_ai-embedding-models": "fireworks_ai",
    "text-completion-codestral": "codestral",
    "text-completion-inception": "inception",
    "text-completion-openai": "openai",
}
# They run on the caller's own machine. A price of 0 means that nobody sends a bill.
LOCAL = {"ollama", "lemonade"}
# Their price lists say "free of charge". Elsewhere, 0 may also mean that LiteLLM does not know the price.
FREE = LOCAL | {"gemini"}
# Any model on the caller's own machine, and the one of scripts/embedder.py.
NOTHING = ("local", {"input": "0", "output": "0"})
OURS = {"local": NOTHING, "wordllama-l2-supercat-256": NOTHING}

WRONG = {
    "embed-multilingual-light-v3.0": "a thousand times the price of its siblings",
    "azure_ai/jais-30b-chat": "a thousand times the price of its siblings",
    "watsonx/core42/jais-13b-chat": "a thousand times the price of its siblings",
    "gemini-exp-1206": "another price than gemini/gemini-exp-1206",
    "gemini/gemini-exp-1206": "another price than gemini-exp-1206",
    "deepseek-chat": "a price for cache writes, which deepseek/deepseek-chat and DeepSeek's price list do not have",
}


def report(model, what):
    print(f"{model}: {what}", file=sys.stderr)


def number(value, most=1000):
    try:
        found = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        found = None
    return found if found is not None and found.is_finite() and 0 <= found <= most else None


def per_million(usd):
    return format((usd * 1_000_000).quantize(Decimal("0.000000000001")).normalize(), "f")


def object_of(entry, key):
    return entry[key] if isinstance(entry.get(key), dict) else {}


def flat_rates(entry, above_or_at):
    for wanted in UNITS:
        for key, value in entry.items():
            match = KEY.match(key)
            if match and match[1] == wanted and value is not None and match[3] not in NOT_TIERS:
                unit, thousands, tier = match.groups()
                above = int(thousands) * 1000 - (1 if above_or_at else 0) if thousands else 0
                yield UNITS[unit], above, TIERS.get(tier or "", tier), value


def tiered_rates(entry):
    """A row of `tiered_pricing` is complete: what it leaves out costs the row's own input rate."""
    rows = entry.get("tiered_pricing")
    for row in rows if isinstance(rows, list) else []:
        bounds = row.get("range") if isinstance(row, dict) else None
        start = number(bounds[0], most=1_000_000_000) if isinstance(bounds, list) and bounds else None
        if start is None or "input_cost_per_token" not in row:
            yield "input", 0, "standard", row
            continue
        for key, unit in UNITS.items():
            if key in row:
                yield unit, int(start), "standard", row[key]
        for unit in ("cache_read", "cache_write"):
            if not any(UNITS[key] == unit for key in row if key in UNITS):
                yield unit, int(start), "standard", row["input_cost_per_token"]


def off_peak_rates(entry):
    for key, value in object_of(entry, "off_peak_pricing").items():
        if key in UNITS:
            yield UNITS[key], 0, "off_peak", value


def search_rates(entry):
    """A search costs more with a larger context. `medium` is what the providers use when the request does not say."""
    sizes = object_of(entry, "search_context_cost_per_query")
    for size in ("medium", "low", "high"):
        if f"search_context_size_{size}" in sizes:
            yield "web_search", 0, "standard", sizes[f"search_context_size_{size}"]
            return


def default_rates(entry, provider):
    """Fireworks bills cached tokens at half the input price where its list says nothing else."""
    price = number(entry.get("input_cost_per_token"))
    if provider == "fireworks_ai" and price and entry.get("cache_read_input_token_cost") is None:
        yield "cache_read", 0, "standard", str(price / 2)


def spans_of(hours):
    """`04:00-06:00` as minutes, [(240, 360)]. The end 00:00 is the day's end, and a span over midnight is two."""
    match = HOURS.match(hours) if isinstance(hours, str) else None
    if not match:
        raise ValueError
    start, end = (int(time[:2]) * 60 + int(time[3:]) for time in match.groups())
    return [(start, end or DAY)] if start < (end or DAY) else [(start, DAY), (0, end)]


def offset_of(zone):
    """Minutes that a zone is ahead of UTC, all the year."""
    offsets = {ZoneInfo(zone).utcoffset(datetime(2026, month, 1)) // timedelta(minutes=1) for month in range(1, 13)}
    if len(offsets) != 1:
        raise ValueError
    return offsets.pop()


def in_utc(days, start, end, offset):
    """The hours of a window are in UTC, its days in the vendor's own time: after midnight there it is another day than in UTC."""
    midnight = (DAY - offset) % DAY
    behind, ahead = (0, -1) if offset > 0 else (1, 0)
    for since, until, shift in ((start, min(end, midnight), behind), (max(start, midnight), end, ahead)):
        if since < until:
            yield [sorted((day + shift - 1) % 7 + 1 for day in days), *(f"{time // 60:02}:{time % 60:02}" for time in (since, until))]


def windows(model, entry):
    """(ISO weekdays, from, until) in UTC. None at all if one of them cannot be read."""
    off_peak = object_of(entry, "off_peak_pricing")
    found = []
    try:
        offset = offset_of(off_peak.get("weekday_timezone", "UTC"))
        daily = [{"hours_utc": off_peak["hours_utc"], "weekdays": range(1, 8)}] if "hours_utc" in off_peak else []
        for window in [*off_peak.get("windows", []), *daily]:
            days = {int(day) for day in window["weekdays"]}
            if not days or not days <= set(range(1, 8)):
                raise ValueError
            hours = window["hours_utc"]
            for text in [hours] if isinstance(hours, str) else hours:
                for span in spans_of(text):
                    found += in_utc(days, *span, offset)
    except (KeyError, TypeError, ValueError, OSError):
        report(model, f"left out its off-peak hours: {json.dumps(off_peak)[:80]}")
        return []
    return found


def multipliers(model, entry):
    specific = object_of(entry, "provider_specific_entry")
    found = {
        ("inference_geo", "us"): specific.get("us"),
        ("speed", "fast"): specific.get("fast"),
        ("data_residency", "eu"): entry.get("regional_processing_uplift_multiplier_eu"),
        ("data_residency", "us"): entry.get("regional_processing_uplift_multiplier_us"),
        ("data_residency", "fedramp"): entry.get("fedramp_uplift_multiplier"),
    }
    for (kind, value), factor in found.items():
        if factor is None:
            continue
        if number(factor):
            yield kind, value, factor
        else:
            report(model, f"left out the surcharge for {kind} {value}: not a factor: {json.dumps(factor)[:80]}")


def rates_of(model, entry, provider):
    """Rates by (unit, threshold, tier), without those that cannot be read."""
    rates = {}
    at = provider == "xai"  # its thresholds are "from", all others are "above"
    for source in (tiered_rates(entry), flat_rates(entry, at), off_peak_rates(entry), search_rates(entry),
                   default_rates(entry, provider)):
        for unit, above, tier, value in source:
            usd = number(value)
            if usd is None:
                report(model, f"left out {unit} {tier}: not a price: {json.dumps(value)[:80]}")
            elif unit in BY_NUMBER:
                # The map names a second of a recording as input and as output, one of them often with 0.
                rates[unit, above, tier] = max(usd, rates.get((unit, above, tier), usd))
            else:
                rates.setdefault((unit, above, tier), usd)
    return rates


def suspicion(entry, provider, rates):
    """Says why a model is left out."""
    mode, usual = entry.get("mode"), rates.get(("input", 0, "standard"))
    if not any(rates.values()) and provider not in FREE:
        return "every price is 0: free or unknown"
    if provider == "ollama" and "cloud" in entry["model"]:
        return "price 0 in a cloud: paid by a subscription"
    if usual and usual * 1_000_000 > (10 if mode == "embedding" else 300):
        return f"${per_million(usual)} per million input tokens is too much"
    if usual and usual * 1_000_000 < Decimal("0.0005"):
        return f"${per_million(usual)} per million input tokens is too little"
    return None


def remark(mode, rates):
    """Says what to look at, although the model is kept."""
    usual = rates.get(("input", 0, "standard"))
    for (unit, above, tier), usd in rates.items():
        if usual and unit == "cache_read" and tier == "standard" and above == 0 and usd > usual:
            yield "a cached token costs more than an uncached one"
        lower = rates.get((unit, 0, tier))
        if above and lower and usd < lower:
            yield f"{unit} {tier} is cheaper above {above} tokens"
    if mode == "embedding" and rates.get(("output", 0, "standard")):
        yield "an embedding with a price for output"


def read_map(price_map):
    """Models as {name: (provider, rates)}, windows, multipliers."""
    models, spans, factors = {}, [], []
    for model, entry in sorted(price_map.items()):
        target = entry.get("alias_of") if isinstance(entry, dict) else None
        entry = price_map.get(target) if isinstance(target, str) else entry
        if not isinstance(entry, dict) or not isinstance(entry.get("litellm_provider"), str) or model == "sample_spec":
            continue
        provider = PROVIDERS.get(entry["litellm_provider"], re.sub("^vertex_ai-.*", "vertex_ai", entry["litellm_provider"]))
        hours = windows(model, entry) if object_of(entry, "off_peak_pricing") else []
        rates = rates_of(model, entry, provider)
        if not hours:
            rates = {key: usd for key, usd in rates.items() if key[2] != "off_peak"}
        if not rates:
            continue
        why = WRONG.get(model) or suspicion({**entry, "model": model}, provider, rates)
        if why or len(model.encode()) > 200:
            report(model, f"left out: {why or 'its name is too long'}")
            continue
        for what in remark(entry.get("mode"), rates):
            report(model, f"kept, but {what}")
        models[model] = (provider, {key_of(*key): per_million(usd) for key, usd in sorted(rates.items())})
        spans += [[model, *window] for window in hours]
        factors += [[model, *factor] for factor in multipliers(model, entry)]
    return models, spans, factors


def key_of(unit, above, tier):
    return unit + (f">{above}" if above else "") + (f":{tier}" if tier != "standard" else "")


def main():
    path, version = sys.argv[1:3]
    with open(path, encoding="utf-8") as file:
        models, spans, factors = read_map(json.load(file, parse_float=str, parse_int=str))
    models |= OURS
    if len(sys.argv) > 3:
        with open(sys.argv[3], encoding="utf-8") as file:
            older = json.load(file, parse_float=str, parse_int=str)
        for model, (provider, rates) in older["models"].items():
            if model not in models and model not in WRONG:
                models[model] = (provider, rates)
                spans += [row for row in older["windows"] if row[0] == model]
                factors += [row for row in older["multipliers"] if row[0] == model]

    def rates_text(rates):
        return "{" + ", ".join(f"{json.dumps(key)}: {rate}" for key, rate in rates.items()) + "}"

    def rows(values, numbers=()):
        lines = ["[" + ", ".join(cell if i in numbers else json.dumps(cell) for i, cell in enumerate(row)) + "]"
                 for row in sorted(values)]
        return "[\n    " + ",\n    ".join(lines) + "\n  ]"

    print("{")
    print(f'  "source": "LiteLLM {version}, model_prices_and_context_window_backup.json (MIT)",')
    print('  "models": {\n    ' + ",\n    ".join(
        f"{json.dumps(model)}: [{json.dumps(provider)}, {rates_text(rates)}]" for model, (provider, rates) in sorted(models.items())
    ) + "\n  },")
    print('  "windows": ' + rows(spans) + ",")
    print('  "multipliers": ' + rows(factors, {3}))
    print("}")


main()
