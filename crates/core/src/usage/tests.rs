use super::*;
use proptest::prelude::*;
use serde_json::Value as Json;

fn read(given: Json) -> Usage {
    Usage::read(&given, None, None)
}

/// What was read, in one line: totals, counts, what is in doubt.
fn line(usage: &Usage) -> String {
    let total = |total: Option<f64>| total.map_or("?".into(), |total| total.to_string());
    let mut line = format!("{}+{}:", total(usage.tokens_input), total(usage.tokens_output));
    let mut counts = usage.counts.clone();
    counts.sort_by_key(|&(unit, _)| unit);
    for (unit, count) in counts {
        line += &format!(" {unit} {count}");
    }
    if usage.conflict {
        line += " ?";
    }
    line
}

#[track_caller]
fn reads(given: Json, expected: &str) {
    let usage = read(given.clone());
    assert_eq!(line(&usage), expected, "{given}: {:?}", usage.notes);
    let kept = read(known(&given));
    assert_eq!(
        (line(&kept), &kept.choices, kept.provider_cost),
        (line(&usage), &usage.choices, usage.provider_cost),
        "what is kept of {given}"
    );
}

/// The shapes of the review of costs, each as its API or library gives it.
#[test]
fn every_shape_is_read() {
    for (given, expected) in [
        // OpenAI Chat Completions.
        (
            json!({"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                    "accepted_prediction_tokens": 5, "rejected_prediction_tokens": 2}}),
            "2006+300: cache_read 1920 input 86 output 300",
        ),
        // OpenAI Responses.
        (
            json!({"input_tokens": 2006, "input_tokens_details": {"cached_tokens": 1920, "cache_write_tokens": 0},
                "output_tokens": 300, "output_tokens_details": {"reasoning_tokens": 200}, "total_tokens": 2306}),
            "2006+300: cache_read 1920 input 86 output 100 reasoning 200",
        ),
        (
            json!({"input_tokens": 2000, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 1900},
                "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2010}),
            "2000+10: cache_write 1900 input 100 output 10",
        ),
        // OpenAI audio.
        (
            json!({"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500,
                "prompt_tokens_details": {"audio_tokens": 900, "cached_tokens": 0, "text_tokens": 100},
                "completion_tokens_details": {"audio_tokens": 400, "text_tokens": 100}}),
            "1000+500: input 100 input_audio 900 output 100 output_audio 400",
        ),
        // OpenAI Realtime.
        (
            json!({"total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
                "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64,
                    "cached_tokens_details": {"text_tokens": 56, "audio_tokens": 8}},
                "output_token_details": {"text_tokens": 30, "audio_tokens": 91}}),
            "132+121: cache_read 56 cache_read_audio 8 input 63 input_audio 5 output 30 output_audio 91",
        ),
        // OpenAI transcriptions by the second, and images.
        (json!({"type": "duration", "seconds": 12.5}), "?+?: second 12.5"),
        (
            json!({"input_tokens": 50, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                "output_tokens": 272, "output_tokens_details": {"text_tokens": 0, "image_tokens": 272},
                "total_tokens": 322}),
            "50+272: input 10 input_image 40 output_image 272",
        ),
        // Anthropic Messages.
        (
            json!({"input_tokens": 50, "output_tokens": 500, "cache_read_input_tokens": 100_000,
                "cache_creation_input_tokens": 1000,
                "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
                "output_tokens_details": {"thinking_tokens": 100}, "inference_geo": "global", "speed": "standard",
                "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}, "service_tier": "standard"}),
            "101050+500: cache_read 100000 cache_write 400 cache_write_1h 600 input 50 output 400 reasoning 100 web_search 2",
        ),
        (
            json!({"input_tokens": 50, "output_tokens": 500, "cache_read_input_tokens": null,
                "cache_creation_input_tokens": null, "cache_creation": null, "server_tool_use": null}),
            "50+500: input 50 output 500",
        ),
        // A compaction is billed beside.
        (
            json!({"input_tokens": 50, "output_tokens": 500, "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0, "iterations": [
                    {"type": "compaction", "input_tokens": 1000, "output_tokens": 30, "cache_read_input_tokens": 7,
                        "cache_creation_input_tokens": 0},
                    {"type": "message", "input_tokens": 50, "output_tokens": 500, "cache_read_input_tokens": 0,
                        "cache_creation_input_tokens": 0}]}),
            "1057+530: cache_read 7 input 1050 output 530",
        ),
        // Gemini and Vertex AI.
        (
            json!({"promptTokenCount": 1000, "candidatesTokenCount": 200, "thoughtsTokenCount": 600,
                "cachedContentTokenCount": 400, "toolUsePromptTokenCount": 50, "totalTokenCount": 1850,
                "trafficType": "ON_DEMAND",
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 900}, {"modality": "AUDIO", "tokenCount": 100}],
                "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 360}, {"modality": "AUDIO", "tokenCount": 40}],
                "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 200}]}),
            "1050+800: cache_read 360 cache_read_audio 40 input 590 input_audio 60 output 200 reasoning 600",
        ),
        (
            json!({"prompt_token_count": 10, "thoughts_token_count": 20, "total_token_count": 30}),
            "10+20: input 10 reasoning 20",
        ),
        // Vercel AI SDK 4, 5, 6 and its providers.
        (
            json!({"promptTokens": 1000, "completionTokens": 200, "totalTokens": 1200}),
            "1000+200: input 1000 output 200",
        ),
        (
            json!({"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200, "cachedInputTokens": 800,
                "reasoningTokens": 0}),
            "1000+200: cache_read 800 input 200 output 200",
        ),
        (
            json!({"inputTokens": 101_050, "outputTokens": 500, "totalTokens": 101_550, "reasoningTokens": 100,
                "cachedInputTokens": 100_000,
                "inputTokenDetails": {"noCacheTokens": 50, "cacheReadTokens": 100_000, "cacheWriteTokens": 1000},
                "outputTokenDetails": {"textTokens": 400, "reasoningTokens": 100},
                "raw": {"input_tokens": 50, "output_tokens": 500, "cache_read_input_tokens": 100_000,
                    "cache_creation_input_tokens": 1000,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1000}}}),
            "101050+500: cache_read 100000 cache_write_1h 1000 input 50 output 400 reasoning 100",
        ),
        (
            json!({"inputTokens": {"total": 101_050, "noCache": 50, "cacheRead": 100_000, "cacheWrite": 1000},
                "outputTokens": {"total": 500, "text": 500}}),
            "101050+500: cache_read 100000 cache_write 1000 input 50 output 500",
        ),
        (json!({"tokens": 8}), "8+?: input 8"),
        // LangChain.
        (
            json!({"input_tokens": 101_050, "output_tokens": 500, "total_tokens": 101_550,
                "input_token_details": {"cache_read": 100_000, "cache_creation": 1000},
                "output_token_details": {"reasoning": 0}}),
            "101050+500: cache_read 100000 cache_write 1000 input 50 output 500",
        ),
        (
            json!({"input_tokens": 101_050, "output_tokens": 500, "total_tokens": 101_550,
                "input_token_details": {"cache_read": 100_000, "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600}}),
            "101050+500: cache_read 100000 cache_write 400 cache_write_1h 600 input 50 output 500",
        ),
        // OpenTelemetry, old and new, and OpenLLMetry.
        (
            json!({"gen_ai.usage.input_tokens": 101_050, "gen_ai.usage.output_tokens": 500,
                "gen_ai.usage.cache_read.input_tokens": 100_000, "gen_ai.usage.cache_creation.input_tokens": 1000,
                "gen_ai.usage.reasoning.output_tokens": 100, "gen_ai.request.max_tokens": 4096,
                "gen_ai.response.model": "claude-sonnet-4-5", "gen_ai.provider.name": "anthropic"}),
            "101050+500: cache_read 100000 cache_write 1000 input 50 output 400 reasoning 100",
        ),
        (
            json!({"gen_ai": {"usage": {"input_tokens": 101_050, "output_tokens": 500,
                "cache_read": {"input_tokens": 100_000}, "cache_write": {"input_tokens": 1000}}}}),
            "101050+500: cache_read 100000 cache_write 1000 input 50 output 500",
        ),
        (
            json!({"gen_ai.usage.prompt_tokens": 101_050, "gen_ai.usage.completion_tokens": 500,
                "gen_ai.usage.cache_read_input_tokens": 100_000, "gen_ai.usage.cache_creation_input_tokens": 1000,
                "llm.usage.total_tokens": 101_550}),
            "101050+500: cache_read 100000 cache_write 1000 input 50 output 500",
        ),
        // Bedrock: Converse, InvokeModel, Titan, Llama.
        (
            json!({"inputTokens": 50, "outputTokens": 500, "totalTokens": 101_550, "cacheReadInputTokens": 100_000,
                "cacheWriteInputTokens": 1000, "cacheDetails": [{"ttl": "1h", "inputTokens": 600},
                    {"ttl": "5m", "inputTokens": 400}]}),
            "101050+500: cache_read 100000 cache_write 400 cache_write_1h 600 input 50 output 500",
        ),
        (
            json!({"inputTokenCount": 50, "outputTokenCount": 500, "cacheReadInputTokenCount": 100_000,
                "cacheWriteInputTokenCount": 1000, "invocationLatency": 800, "firstByteLatency": 300}),
            "101050+500: cache_read 100000 cache_write 1000 input 50 output 500",
        ),
        (
            json!({"inputTextTokenCount": 5, "results": [{"tokenCount": 30, "outputText": "x"}]}),
            "5+30: input 5 output 30",
        ),
        (
            json!({"generation": "x", "prompt_token_count": 5, "generation_token_count": 30, "stop_reason": "stop"}),
            "5+30: input 5 output 30",
        ),
        // DeepSeek.
        (
            json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
                "prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100,
                "prompt_tokens_details": {"cached_tokens": 900}, "completion_tokens_details": {"reasoning_tokens": 40}}),
            "1000+100: cache_read 900 input 100 output 60 reasoning 40",
        ),
        // xAI counts reasoning outside of completion_tokens.
        (
            json!({"prompt_tokens": 200, "completion_tokens": 100, "total_tokens": 700,
                "prompt_tokens_details": {"text_tokens": 200, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 150},
                "completion_tokens_details": {"reasoning_tokens": 400, "audio_tokens": 0}, "num_sources_used": 0}),
            "200+500: cache_read 150 input 50 output 100 reasoning 400",
        ),
        // Mistral.
        (
            json!({"promptTokens": 100, "completionTokens": 20, "totalTokens": 120, "promptAudioSeconds": null}),
            "100+20: input 100 output 20",
        ),
        (
            json!({"prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3945, "completion_tokens": 635}),
            "4+635: input 4 output 635 second 203",
        ),
        // Cohere.
        (
            json!({"billed_units": {"input_tokens": 5, "output_tokens": 418},
                "tokens": {"input_tokens": 71, "output_tokens": 418}}),
            "5+418: input 5 output 418",
        ),
        (json!({"billedUnits": {"searchUnits": 1}}), "?+?: query 1"),
        // Voyage, and Groq.
        (json!({"total_tokens": 32_000}), "32000+?: input 32000"),
        (
            json!({"queue_time": 0.02, "prompt_tokens": 18, "prompt_time": 0.0007, "completion_tokens": 556,
                "completion_time": 0.46, "total_tokens": 574, "total_time": 0.46}),
            "18+556: input 18 output 556",
        ),
        // OpenRouter.
        (
            json!({"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, "cost": 0.00315,
                "is_byok": false, "prompt_tokens_details": {"cached_tokens": 800, "audio_tokens": 0},
                "cost_details": {"upstream_inference_cost": null}}),
            "1000+200: cache_read 800 input 200 output 200",
        ),
        // LiteLLM: what Anthropic reported, in OpenAI's convention.
        (
            json!({"prompt_tokens": 101_050, "completion_tokens": 500, "total_tokens": 101_550,
                "prompt_tokens_details": {"cached_tokens": 100_000, "cache_creation_tokens": 1000, "text_tokens": 50,
                    "cache_creation_token_details": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600}},
                "cache_read_input_tokens": 100_000, "cache_creation_input_tokens": 1000}),
            "101050+500: cache_read 100000 cache_write 400 cache_write_1h 600 input 50 output 500",
        ),
        // OpenAI Agents, Pydantic AI, Ollama.
        (
            json!({"requests": 2, "inputTokens": 100, "outputTokens": 50, "totalTokens": 150,
                "inputTokensDetails": [{"cached_tokens": 10}, {"cached_tokens": 20}],
                "outputTokensDetails": [{"reasoning_tokens": 5}]}),
            "100+50: cache_read 30 input 70 output 45 reasoning 5",
        ),
        (
            json!({"requests": 1, "input_tokens": 100, "output_tokens": 50, "cache_read_tokens": 10,
                "cache_write_tokens": 20, "input_audio_tokens": 30, "details": {"reasoning_tokens": 5}}),
            "100+50: cache_read 10 cache_write 20 input 40 input_audio 30 output 50",
        ),
        (
            json!({"model": "llama3.1", "prompt_eval_count": 26, "eval_count": 298, "eval_duration": 4_709_213_000u64}),
            "26+298: input 26 output 298",
        ),
        // matrice's own keys.
        (
            json!({"tokens_input": 100, "tokens_output": 50, "cached_tokens": 10, "cache_write_tokens": 30,
                "cache_write_1h_tokens": 5, "cache_write_12h_tokens": 6, "input_audio_tokens": 7,
                "input_image_tokens": 8, "reasoning_tokens": 20, "output_audio_tokens": 9, "images": 1}),
            "100+50: cache_read 10 cache_write 19 cache_write_12h 6 cache_write_1h 5 image 1 input 45 input_audio 7 \
             input_image 8 output 21 output_audio 9 reasoning 20",
        ),
    ] {
        reads(given, expected);
    }
}

/// Shapes that were met later, each as its API or library gives it.
#[test]
fn shapes_of_the_second_review_are_read() {
    for (given, expected) in [
        // Bedrock Converse over HTTP: each count of the cache twice.
        (
            json!({"usage": {"inputTokens": 30, "outputTokens": 628, "totalTokens": 1758, "cacheReadInputTokens": 1000,
                "cacheReadInputTokenCount": 1000, "cacheWriteInputTokens": 100, "cacheWriteInputTokenCount": 100}}),
            "1130+628: cache_read 1000 cache_write 100 input 30 output 628",
        ),
        // Nova by InvokeModel.
        (
            json!({"usage": {"inputTokens": 100, "outputTokens": 10, "totalTokens": 160, "cacheReadInputTokenCount": 50,
                "cacheWriteInputTokenCount": 0}}),
            "150+10: cache_read 50 input 100 output 10",
        ),
        // The headers of InvokeModel, as they are and in boto3.
        (
            json!({"x-amzn-bedrock-input-token-count": "30", "x-amzn-bedrock-output-token-count": "20",
                "x-amzn-bedrock-cache-read-input-token-count": "500", "x-amzn-bedrock-cache-write-input-token-count": "0",
                "x-amzn-bedrock-invocation-latency": "1200"}),
            "530+20: cache_read 500 input 30 output 20",
        ),
        (
            json!({"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"content-length": "300",
                "x-amzn-bedrock-input-token-count": "30", "x-amzn-bedrock-output-token-count": "20"}}}),
            "30+20: input 30 output 20",
        ),
        // A line of the results of a batch of Anthropic.
        (
            json!({"custom_id": "a", "result": {"type": "succeeded", "message": {"model": "claude-sonnet-4-5-20250929",
                "usage": {"input_tokens": 11, "output_tokens": 36, "service_tier": "batch"}}}}),
            "11+36: input 11 output 36",
        ),
        // SambaNova and others say how long the first token took.
        (
            json!({"completion_tokens": 10, "completion_tokens_per_sec": 90.1, "prompt_tokens": 100, "time_to_first_token": 0.1,
                "time_to_first_token_graph": 0.2, "total_tokens": 110, "total_tokens_per_sec": 200.2}),
            "100+10: input 100 output 10",
        ),
        // CrewAI.
        (
            json!({"total_tokens": 110, "prompt_tokens": 100, "cached_prompt_tokens": 40, "completion_tokens": 10,
                "successful_requests": 1}),
            "100+10: cache_read 40 input 60 output 10",
        ),
        // xAI with its searches.
        (
            json!({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 41, "num_sources_used": 5}),
            "32+9: input 32 output 9 web_search 5",
        ),
        // OpenAI for .NET, and Microsoft.Extensions.AI.
        (
            json!({"InputTokenCount": 100, "OutputTokenCount": 10, "TotalTokenCount": 110, "InputTokenDetails":
                {"CachedTokenCount": 40, "AudioTokenCount": 0}, "OutputTokenDetails": {"ReasoningTokenCount": 4}}),
            "100+10: cache_read 40 input 60 output 6 reasoning 4",
        ),
        (
            json!({"inputTokenCount": 100, "outputTokenCount": 10, "totalTokenCount": 110, "cachedInputTokenCount": 40}),
            "100+10: cache_read 40 input 60 output 10",
        ),
        (
            json!({"inputTokenCount": 100, "outputTokenCount": 10, "totalTokenCount": 110}),
            "100+10: input 100 output 10",
        ),
    ] {
        reads(given, expected);
    }
    assert!(
        read(json!({"result": {"message": {"usage": {"input_tokens": 11, "output_tokens": 36, "service_tier": "batch"}}}}))
            .choices
            .iter()
            .any(|(name, value)| *name == "service_tier" && value == "batch")
    );
}

/// The shapes of the third review, as documentation shows them.
#[test]
fn shapes_of_the_third_review_are_read() {
    for (given, expected) in [
        // A line of the results of an OpenAI batch.
        (
            json!({"id": "batch_req_123", "custom_id": "request-2", "response": {"status_code": 200, "request_id": "req_123",
                "body": {"id": "chatcmpl-123", "object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [{"index": 0}],
                    "usage": {"prompt_tokens": 22, "completion_tokens": 2, "total_tokens": 24}, "service_tier": "default"}},
                "error": null}),
            "22+2: input 22 output 2",
        ),
        // OpenInference, as attributes of a span.
        (
            json!({"llm.model_name": "claude-sonnet-4-5", "llm.provider": "anthropic", "llm.token_count.prompt": 100,
                "llm.token_count.prompt_details.cache_read": 80, "llm.token_count.completion": 50,
                "llm.token_count.completion_details.reasoning": 20, "llm.token_count.total": 150}),
            "100+50: cache_read 80 input 20 output 30 reasoning 20",
        ),
        // watsonx.ai.
        (
            json!({"model_id": "ibm/granite-13b-chat-v2", "created_at": "2025-01-01T00:00:00.000Z", "results": [
                {"generated_text": "x", "generated_token_count": 20, "input_token_count": 146, "stop_reason": "max_tokens"}]}),
            "146+20: input 146 output 20",
        ),
        // Spring AI. Its prompt tokens are those of the API, here without cached ones.
        (
            json!({"promptTokens": 50, "completionTokens": 500, "totalTokens": 550, "nativeUsage": {"input_tokens": 50,
                "output_tokens": 500, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0}}),
            "1050+500: cache_read 1000 input 50 output 500",
        ),
        (
            json!({"promptTokens": 50, "completionTokens": 5, "totalTokens": 55, "nativeUsage": {"prompt_tokens": 50,
                "completion_tokens": 5, "total_tokens": 55, "prompt_tokens_details": {"cached_tokens": 40}}}),
            "50+5: cache_read 40 input 10 output 5",
        ),
        // Perplexity: Sonar Pro, and Sonar Deep Research.
        (
            json!({"prompt_tokens": 14, "completion_tokens": 213, "total_tokens": 227, "search_context_size": "low",
                "cost": {"input_tokens_cost": 0.00004, "output_tokens_cost": 0.003, "request_cost": 0.006, "total_cost": 0.00904}}),
            "14+213: input 14 output 213",
        ),
        (
            json!({"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196, "citation_tokens": 20016,
                "num_search_queries": 21, "reasoning_tokens": 73994, "cost": {"input_tokens_cost": 0.0, "output_tokens_cost": 0.057,
                    "citation_tokens_cost": 0.04, "reasoning_tokens_cost": 0.222, "search_queries_cost": 0.105, "total_cost": 0.424}}),
            "20049+81157: input 20049 output 7163 reasoning 73994 web_search 21",
        ),
        // Gemini, grounded with Google Search. The same query is billed once, and an empty one not at all.
        (
            json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "tokenCount": 9, "groundingMetadata": {
                    "webSearchQueries": ["a", "", "b", "a"], "groundingChunks": [{"web": {"uri": "u"}}]}}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
                "modelVersion": "gemini-3-flash-preview"}),
            "10+5: input 10 output 5 web_search 2",
        ),
        // Older models bill the answer.
        (
            json!({"candidates": [{"grounding_metadata": {"web_search_queries": ["a", "b"]}}],
                "usage_metadata": {"prompt_token_count": 10, "candidates_token_count": 5}, "model_version": "gemini-2.5-flash"}),
            "10+5: input 10 output 5 web_search 1",
        ),
        (
            json!({"candidates": [{"groundingMetadata": {}}], "usageMetadata": {"promptTokenCount": 10}}),
            "10+?: input 10",
        ),
        // The Vercel AI SDK.
        (
            json!({"usage": {"inputTokens": 10, "outputTokens": 5}, "providerMetadata": {"google": {"groundingMetadata": {
                "webSearchQueries": ["a", "b"]}}}}),
            "10+5: input 10 output 5 web_search 2",
        ),
    ] {
        reads(given, expected);
    }
    let batch = |custom_id: Json| {
        let body = json!({"usage": {"prompt_tokens": 22, "completion_tokens": 2}, "service_tier": "default", "model": "gpt-4o"});
        read(json!({"custom_id": custom_id, "response": {"body": body}})).choices
    };
    assert_eq!(
        batch("request-2".into()),
        [
            ("service_tier", "batch".to_owned()),
            ("model", "gpt-4o".to_owned())
        ]
    );
    assert_ne!(
        batch(Json::Null)[0],
        ("service_tier", "batch".to_owned()),
        "no line of a batch"
    );
    let tools = json!({"promptTokenCount": 10, "toolUsePromptTokenCount": 50, "candidatesTokenCount": 5});
    assert!(
        read(tools).notes[0].contains("search"),
        "somebody has to know of searches"
    );
}

#[test]
fn a_whole_response_is_read() {
    let chat = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-5-2025-08-07",
        "service_tier": "flex", "choices": [{"message": {"content": "12 tokens"}, "logprobs": {"content": [{"token": "a"}]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    reads(chat.clone(), "10+5: input 10 output 5");
    let choices = read(chat.clone()).choices;
    assert_eq!(
        choices,
        [
            ("service_tier", "flex".into()),
            ("model", "gpt-5-2025-08-07".into())
        ]
    );
    for whole in [
        json!({"response": chat}),
        json!({"max_output_tokens": 500, "output": [{"type": "message"}], "usage": {"input_tokens": 10, "output_tokens": 5}}),
        json!({"candidates": [{"tokenCount": 5}], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}}),
        json!({"type": "message", "usage": {"input_tokens": 10, "output_tokens": 5},
            "amazon-bedrock-invocationMetrics": {"inputTokenCount": 10, "outputTokenCount": 5}}),
        // The Vercel AI SDK: usage is that of the last step.
        json!({"usage": {"inputTokens": 3, "outputTokens": 1}, "totalUsage": {"inputTokens": 10, "outputTokens": 5}}),
        json!({"usage_metadata": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
            "response_metadata": {"tokenUsage": {"promptTokens": 10, "completionTokens": 5, "totalTokens": 15},
                "model_name": "gpt-5"}}),
        json!({"llmOutput": {"tokenUsage": {"promptTokens": 10, "completionTokens": 5}}}),
        json!({"meta": {"billed_units": {"input_tokens": 10, "output_tokens": 5}}}),
    ] {
        reads(whole, "10+5: input 10 output 5");
    }
    // The library leaves out what is not in input_tokens. What the provider reported is there too.
    reads(
        json!({"usage": {"inputTokens": 50, "outputTokens": 5, "totalTokens": 55, "cachedInputTokens": 30},
            "providerMetadata": {"anthropic": {"usage": {"input_tokens": 50, "output_tokens": 5,
                "cache_read_input_tokens": 30, "cache_creation_input_tokens": 20}}}}),
        "100+5: cache_read 30 cache_write 20 input 50 output 5",
    );
    // Groq by LangChain.
    reads(
        json!({"response_metadata": {"token_usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_time": 0.5}}}),
        "10+5: input 10 output 5",
    );
    reads(
        json!({"output": [{"type": "web_search_call", "action": {"type": "search"}},
            {"type": "web_search_call", "action": {"type": "open_page"}}, {"type": "message"}],
            "usage": {"input_tokens": 10, "output_tokens": 5}}),
        "10+5: input 10 output 5 web_search 1",
    );
}

#[test]
fn options_and_costs_are_read() {
    let choice = |given: Json, name: &str| {
        let choices = read(given).choices;
        choices
            .into_iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    };
    for (given, name, expected) in [
        (json!({"service_tier": " BATCH"}), "service_tier", Some("batch")),
        (
            json!({"usage": {"service_tier": "priority"}}),
            "service_tier",
            Some("priority"),
        ),
        (
            json!({"serviceTier": {"type": "flex"}}),
            "service_tier",
            Some("flex"),
        ),
        (
            json!({"trafficType": "ON_DEMAND_FLEX"}),
            "service_tier",
            Some("flex"),
        ),
        (
            json!({"trafficType": "ON_DEMAND"}),
            "service_tier",
            Some("standard"),
        ),
        (json!({"service_tier": null}), "service_tier", None),
        (
            json!({"input_tokens": 9, "input_token_details": {"flex_cache_read": 5, "flex": 4}}),
            "service_tier",
            Some("flex"),
        ),
        (json!({"service_tier": ""}), "service_tier", None),
        (
            json!({"inference_geo": "US", "speed": "fast"}),
            "inference_geo",
            Some("us"),
        ),
        (json!({"data_residency": "EU"}), "data_residency", Some("eu")),
        (json!({"provider": "Azure"}), "provider", Some("azure")),
        (
            json!({"provider": "Google", "usage": {"prompt_tokens": 1, "cost": 0.1}}),
            "provider",
            None,
        ),
        (
            json!({"modelVersion": "gemini-2.5-pro"}),
            "model",
            Some("gemini-2.5-pro"),
        ),
        (json!({"response": {"modelId": "gpt-5"}}), "model", Some("gpt-5")),
        (json!({"model": 5}), "model", None),
    ] {
        assert_eq!(
            choice(given.clone(), name).as_deref(),
            expected,
            "{name} of {given}"
        );
    }
    assert!(read(json!({"service_tier": 5})).conflict);
    assert!(read(json!({"trafficType": "PROVISIONED_THROUGHPUT"})).conflict);
    for (given, expected) in [
        (json!({"prompt_tokens": 1, "cost": 0.00315}), Some("0.00315")),
        (json!({"prompt_tokens": 1, "cost": 1e-7}), Some("0.0000001")),
        (
            json!({"usage": {"prompt_tokens": 1, "cost": 0.5, "is_byok": true,
            "cost_details": {"upstream_inference_cost": 0.25}}}),
            Some("0.75"),
        ),
        (
            json!({"prompt_tokens": 1, "cost_in_usd_ticks": 37_756_000}),
            Some("0.0037756"),
        ),
        (
            json!({"usage": {"prompt_tokens": 1, "cost": {"total_cost": 0.006}}}),
            Some("0.006"),
        ),
        (
            json!({"providerMetadata": {"gateway": {"cost": "0.0045"}}}),
            Some("0.0045"),
        ),
        (json!({"prompt_tokens": 1, "cost": -1}), None),
        (json!({"prompt_tokens": 1, "cost": "free"}), None),
        (json!({"prompt_tokens": 1}), None),
    ] {
        let json = read(given.clone()).to_json();
        assert_eq!(json["provider_cost_usd"].as_str(), expected, "{given}");
    }
}

#[test]
fn the_callers_tokens_are_compared() {
    let anthropic = json!({"input_tokens": 50, "output_tokens": 5, "cache_read_input_tokens": 100});
    let xai = json!({"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 7,
        "completion_tokens_details": {"reasoning_tokens": 4}});
    for (given, tokens, expected) in [
        (json!({}), [Some(10), Some(5)], "10+5: input 10 output 5"),
        (json!({}), [Some(10), None], "10+?: input 10"),
        (json!({}), [Some(0), Some(0)], "0+0:"),
        (json!({}), [None, None], "?+?:"),
        (json!({}), [None, Some(5)], "?+5: output 5 ?"),
        (
            json!({"cached_tokens": 8}),
            [Some(10), None],
            "10+?: cache_read 8 input 2",
        ),
        (json!({"cached_tokens": 8}), [None, None], "?+?: cache_read 8 ?"),
        (
            json!({"total_tokens": 15}),
            [Some(10), Some(5)],
            "10+5: input 10 output 5",
        ),
        (json!({"total_tokens": 15}), [Some(10), None], "10+?: input 10 ?"),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 5}),
            [Some(0), Some(0)],
            "10+5: input 10 output 5",
        ),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 5}),
            [Some(11), None],
            "11+5: input 11 output 5 ?",
        ),
        // The caller passed on what the API counts, without what is outside of it.
        (
            anthropic.clone(),
            [Some(50), Some(5)],
            "150+5: cache_read 100 input 50 output 5",
        ),
        (
            anthropic.clone(),
            [Some(150), Some(5)],
            "150+5: cache_read 100 input 50 output 5",
        ),
        (anthropic, [Some(60), None], "60+5: input 60 output 5 ?"),
        (xai, [Some(2), Some(1)], "2+5: input 2 output 1 reasoning 4"),
    ] {
        let [input, output] = tokens;
        let usage = Usage::read(&given, input, output);
        assert_eq!(line(&usage), expected, "{given} {tokens:?}: {:?}", usage.notes);
        assert!(!usage.conflict || !usage.notes.is_empty(), "{given}: no reason");
    }
}

#[test]
fn what_is_in_doubt_has_a_note() {
    for (given, note) in [
        (json!([]), "not an object"),
        (json!("{}"), "not an object"),
        (json!(null), "not an object"),
        (json!({"prompt_tokens": -5}), "prompt_tokens is not"),
        (json!({"prompt_tokens": 1.5}), "prompt_tokens is not"),
        (json!({"prompt_tokens": 1e300}), "prompt_tokens is not"),
        (json!({"prompt_tokens": "NaN"}), "prompt_tokens is not"),
        (json!({"prompt_tokens": "five"}), "prompt_tokens is not"),
        (json!({"prompt_tokens": true}), "prompt_tokens is not"),
        (
            json!({"prompt_tokens": 5, "promptTokens": 6}),
            "another key says 6",
        ),
        (
            json!({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}),
            "6 cached tokens",
        ),
        (
            json!({"prompt_tokens": 9, "cached_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}),
            "another key",
        ),
        (
            json!({"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 7}),
            "7 tokens in all",
        ),
        // The Vercel AI SDK 5 leaves out what Anthropic wrote to a cache.
        (
            json!({"inputTokens": 50, "outputTokens": 5, "totalTokens": 55, "cachedInputTokens": 100}),
            "100 cached tokens, but 50",
        ),
        (
            json!({"prompt_tokens": 5, "citation_tokens": 6}),
            "citation_tokens",
        ),
        (
            json!({"prompt_tokens": 5, "new": {"inner_tokens": 6}}),
            "new.inner_tokens",
        ),
        (json!({"some_tokens": 5}), "some_tokens"),
        (
            json!({"prompt_tokens": 5, "completion_tokens": 1, "reasoning_tokens": 2}),
            "2 reasoning",
        ),
        (json!({"prompt_tokens": 5, "input_audio_tokens": 6}), "too many"),
        (
            json!({"prompt_tokens": 9, "cache_write_tokens": 2, "cache_write_1h_tokens": 3}),
            "by lifetime",
        ),
        (
            json!({"usage": {"prompt_tokens": 5}, "usage_metadata": {"input_tokens": 6}}),
            "another says 6",
        ),
        (
            json!({"inputTokens": 9, "outputTokens": 1, "raw": {"prompt_tokens": 8, "completion_tokens": 1}}),
            "another says 8",
        ),
        (
            json!({"input_tokens": 5, "cache_read_input_tokens": 0, "iterations": [
            {"type": "advisor_message", "input_tokens": 5}]}),
            "iterations[advisor_message].input_tokens",
        ),
    ] {
        let usage = read(given.clone());
        assert!(usage.conflict, "{given} is in doubt");
        assert!(
            usage.notes.iter().any(|text| text.contains(note)),
            "{given}: {:?}",
            usage.notes
        );
        assert!(
            given.as_object().is_none() || read(known(&given)).conflict,
            "what is kept of {given} is in doubt"
        );
    }
    let parts = read(
        json!({"prompt_tokens": 5, "completion_tokens": 5, "completion_tokens_details": {"new_tokens": 3}}),
    );
    assert_eq!(
        (line(&parts).as_str(), parts.notes.len()),
        ("5+5: input 5 output 5", 1)
    );
}

#[test]
fn what_is_the_same_twice_is_no_conflict() {
    reads(
        json!({"prompt_tokens": 5, "promptTokens": 5.0, "input_tokens": "5"}),
        "5+?: input 5",
    );
    reads(
        json!({"prompt_tokens": 9, "cached_tokens": 5, "prompt_cache_hit_tokens": 5}),
        "9+?: cache_read 5 input 4",
    );
    reads(
        json!({"prompt_tokens": 9, "cached_tokens": 0, "prompt_cache_hit_tokens": 5}),
        "9+?: cache_read 5 input 4",
    );
    reads(
        json!({"prompt_tokens": 5, "seats": 4, "nothing_tokens": 0, "max_tokens": 9, "other_tokens": null}),
        "5+?: input 5",
    );
}

#[test]
fn audio_that_is_cached_is_counted_once() {
    reads(
        json!({"tokens_input": 1000, "cached_tokens": 800, "input_audio_tokens": 900}),
        "1000+?: cache_read 800 input_audio 200",
    );
}

#[test]
fn hostile_values_are_read() {
    let mut deep = json!({"prompt_tokens": 5});
    for _ in 0..100 {
        deep = json!({"a_tokens": deep});
    }
    reads(deep, "?+?:");
    let many: Map<String, Json> = (0..10_000)
        .map(|number| (format!("k{number}"), 1.into()))
        .collect();
    assert!(read(many.into()).conflict);
    let many: Map<String, Json> = (0..1000)
        .map(|number| (format!("{number}_tokens"), 1.into()))
        .collect();
    let usage = read(many.clone().into());
    assert!(usage.conflict && usage.notes.iter().all(|note| note.len() < 1500));
    assert!(read(known(&many.into())).conflict);
    let long = "é".repeat(1000) + "token";
    assert!(
        !read(json!({long.clone(): 5, "prompt_tokens": 5})).conflict,
        "a key is no longer than 100 bytes"
    );
    assert_eq!(
        known(&json!({"input_tokens": 5, "input_tokens.total": 5})),
        json!({"input_tokens": 5, "input_tokens.total": 5})
    );
}

#[test]
fn shapes_have_marks_and_keys_once() {
    assert_eq!(PLACES[leaves::OBJECT], "");
    for shape in SHAPES {
        for (number, (key, _)) in shape.keys.iter().enumerate() {
            assert!(
                !shape.keys[..number].iter().any(|(other, _)| other == key),
                "{} {key}",
                shape.name
            );
            assert!(!key.contains(|c: char| c.is_uppercase()), "{} {key}", shape.name);
        }
    }
}

/// Sets the value at a path, where nothing is yet. A path through something that is no object stays one key.
fn put(object: &mut Map<String, Json>, path: &str, value: &Json) -> bool {
    if let Some((first, rest)) = path.split_once('.')
        && let Json::Object(inner) = object.entry(first).or_insert_with(|| Map::new().into())
    {
        return put(inner, rest, value);
    }
    let is_free = !object.contains_key(path);
    if is_free {
        object.insert(path.into(), value.clone());
    }
    is_free
}

/// JSON of any depth, of keys and texts that mean something somewhere.
fn trees() -> impl Strategy<Value = Json> {
    let word = prop_oneof![
        4 => prop::sample::select(vec!["response", "usage", "output", "results", "iterations", "cache_details", "prompt_tokens_details",
            "promptTokensDetails", "input_tokens", "inputTokens", "output_tokens", "token_count", "tokenCount", "total_tokens", "ttl",
            "TTL", "type", "modality", "Modality", "model", "service_tier", "is_byok", "cost", "llm_output.token_usage", "x_tokens",
            "output[web_search_call]", "prompt_tokens_details[audio]", "iterations[message].x", "web_search_call", "action"]),
        1 => prop::sample::select(vec!["message", "compaction", "AUDIO", "audio", "1h", "ΑΣ", "İ", "a.b", "[", "", ".", "..", "..token"]),
    ];
    let word = prop_oneof![
        8 => word.prop_map(str::to_owned),
        1 => "[a.\\[\\]İΣ]{0,3}token",
        1 => Just("İ".repeat(60) + "token"),
        1 => Just("long_token".repeat(30)),
    ];
    let leaf = prop_oneof![
        4 => (0u32..5).prop_map(Json::from),
        3 => word.clone().prop_map(Json::from),
        1 => prop::sample::select(vec![json!(null), json!(true), json!(false), json!(-1), json!(0.5), json!(-0.0), json!(1e300), json!("7")]),
    ];
    let tree = leaf.prop_recursive(14, 60, 6, move |inner| {
        prop_oneof![
            3 => prop::collection::vec((word.clone(), inner.clone()), 0..6)
                .prop_map(|pairs| pairs.into_iter().collect::<Map<_, _>>().into()),
            1 => prop::collection::vec(inner, 0..6).prop_map(Json::from),
        ]
    });
    tree.prop_map(|tree| {
        if tree.is_object() {
            tree
        } else {
            json!({"iterations": tree})
        }
    })
}

/// Objects of keys that are known and of others, with numbers that often agree.
fn objects() -> impl Strategy<Value = Json> {
    let names: Vec<String> = SHAPES
        .iter()
        .flat_map(|shape| shape.keys)
        .chain(OWN)
        .map(|(key, _)| (*key).to_owned())
        .chain(["other_tokens".into(), "x".into(), "service_tier".into()])
        .filter(|key| !key.contains(['[', '*']))
        .collect();
    let number = prop_oneof![
        8 => (0u32..50).prop_map(Json::from),
        1 => any::<f64>().prop_map(Json::from),
        1 => any::<i64>().prop_map(Json::from),
        1 => "[0-9a-z.]{0,4}".prop_map(Json::from),
        1 => Just(Json::Null),
    ];
    let places = prop::sample::select(PLACES);
    let fields = prop::collection::vec((places, prop::sample::select(names), number), 0..8);
    fields.prop_map(|fields| {
        let mut object = Map::new();
        for (number, (place, key, value)) in fields.into_iter().enumerate() {
            let place = if number % 2 == 0 { "" } else { place };
            put(
                &mut object,
                format!("{place}.{key}").trim_start_matches('.'),
                &value,
            );
        }
        object.into()
    })
}

proptest! {
    #[test]
    fn counts_are_disjoint_and_make_the_totals(given in objects(), input in prop::option::of(0u64..60), output in prop::option::of(0u64..60)) {
        let usage = Usage::read(&given, input, output);
        let sum = |units: &[&str]| -> f64 {
            usage.counts.iter().filter(|(unit, _)| units.contains(unit)).map(|(_, count)| count).sum()
        };
        prop_assert!(usage.counts.iter().all(|&(_, count)| count > 0.0 && count.is_finite()));
        let mut units: Vec<&str> = usage.counts.iter().map(|&(unit, _)| unit).collect();
        units.sort_unstable();
        units.dedup();
        prop_assert_eq!(units.len(), usage.counts.len());
        if let Some(input) = usage.tokens_input {
            let units = ["input", "cache_read", "cache_read_audio", "cache_write", "cache_write_1h", "cache_write_12h",
                "input_audio", "input_image", "input_video"];
            prop_assert_eq!(sum(&units), input);
        }
        prop_assert_eq!(sum(&["output", "reasoning", "output_audio", "output_image"]), usage.tokens_output.unwrap_or(0.0));
        prop_assert!(!usage.conflict || !usage.notes.is_empty());
        let _ = usage.to_json();
    }

    #[test]
    fn what_is_kept_reads_the_same(given in objects()) {
        let (usage, kept) = (read(given.clone()), read(known(&given)));
        prop_assert_eq!(usage.conflict, kept.conflict);
        // Of what is in doubt, any number may come first.
        prop_assert!(usage.conflict || line(&usage) == line(&kept), "{} is not {}", line(&kept), line(&usage));
        prop_assert_eq!(usage.choices, kept.choices);
        prop_assert_eq!(usage.provider_cost, kept.provider_cost);
    }

    #[test]
    fn what_is_kept_has_the_same_values_at_the_same_paths(given in trees()) {
        for within in [|json| json, |json| json!({"response": json})] {
            let values = |json: Json| -> Vec<(String, Value)> {
                let json = within(json);
                leaves_of(&json).0.into_iter().map(|leaf| (leaf.path, leaf.value)).collect()
            };
            prop_assert_eq!(values(given.clone()), values(known(&given)), "{}", known(&given));
        }
        prop_assert_eq!(known(&known(&given)), known(&given));
    }
}

/// The tables of docs/usage.md.
fn tables() -> String {
    let words = |part: Part| {
        let name = format!("{part:?}");
        let letters = name.chars().flat_map(|letter| {
            let is_word = letter.is_uppercase();
            [' ']
                .into_iter()
                .filter(move |_| is_word)
                .chain(letter.to_lowercase())
        });
        let words: String = letters.collect();
        ["5m", "1h", "12h"]
            .iter()
            .fold(words.trim().to_owned(), |words, time| {
                words.replace(time, &format!(" {time}"))
            })
    };
    let at = |place: shapes::Where| {
        if place == shapes::Where::Inside {
            "inside"
        } else {
            "outside"
        }
    };
    let code = |texts: &[&str]| {
        let texts: Vec<String> = texts
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| format!("`{text}`"))
            .collect();
        texts.join(", ")
    };
    let mut text = String::from("| shape | from | found by | cached | reasoning |\n|---|---|---|---|---|\n");
    for shape in SHAPES {
        let found_by = match (shape.within, code(shape.marks)) {
            ("", marks) if marks.is_empty() => "its keys alone".into(),
            ("", marks) => marks,
            (within, _) => format!("being within `{within}`"),
        };
        let (cached, reasoning) = (at(shape.cached), at(shape.reasoning));
        text += &format!(
            "| {} | {} | {found_by} | {cached} | {reasoning} |\n",
            shape.name, shape.of
        );
    }
    text += "\n| shape | counts | keys |\n|---|---|---|\n";
    let all = SHAPES
        .iter()
        .map(|shape| (shape.name, shape.keys))
        .chain([("every shape", OWN)]);
    for (name, keys) in all {
        let mut parts: Vec<Part> = Vec::new();
        for &(_, part) in keys {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        for part in parts {
            let of_part: Vec<&str> = keys.iter().filter(|key| key.1 == part).map(|key| key.0).collect();
            text += &format!("| {name} | {} | {} |\n", words(part), code(&of_part));
        }
    }
    text += &format!(
        "\nUsage is found in the object itself, and in these places, which may also lie within `response`: {}.\n",
        code(PLACES)
    );
    text
}

#[test]
fn the_documented_tables_are_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/usage.md");
    let written = std::fs::read_to_string(path).unwrap();
    let (before, rest) = written.split_once("<!-- tables -->\n\n").unwrap();
    let (_, after) = rest.split_once("\n<!-- end of tables -->").unwrap();
    let current = format!(
        "{before}<!-- tables -->\n\n{}\n<!-- end of tables -->{after}",
        tables()
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    assert!(
        written == current,
        "docs/usage.md is not current: UPDATE=1 cargo test -p matrice-core documented_tables"
    );
}
