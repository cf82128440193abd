//! The shapes in which APIs and libraries report what a call used. A new provider is a row here.
//!
//! Keys are written as paths in snake_case; camelCase and dashes are read as the same key. `[audio]` is the element of an array
//! that says so: `{"modality": "AUDIO", "tokenCount": 5}`, `{"ttl": "1h", "inputTokens": 5}`. `[]` is any element, and `*` any key.

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Input tokens. Whether they contain cached tokens says the shape.
    Input,
    /// Input tokens beside those of [`Part::Input`].
    MoreInput,
    /// Input tokens that were neither read from nor written to a cache.
    Uncached,
    Output,
    /// Output tokens beside those of [`Part::Output`].
    MoreOutput,
    /// Input and output tokens together.
    Total,
    CacheRead,
    /// Tokens written to a cache, of all lifetimes.
    CacheWrite,
    MoreCacheRead,
    MoreCacheWrite,
    MoreCacheWrite1h,
    CacheWrite5m,
    CacheWrite1h,
    CacheWrite12h,
    /// Audio tokens of the input, cached ones too.
    InputAudio,
    InputImage,
    InputVideo,
    CacheReadAudio,
    CacheReadImage,
    CacheReadVideo,
    Reasoning,
    OutputAudio,
    OutputImage,
    WebSearches,
    Images,
    Seconds,
    Characters,
    Pages,
    Queries,
    /// Tokens that another count contains, at its price.
    Contained,
    /// US dollars that the provider says the call cost.
    Cost,
    /// The same, which another charges in addition if the caller has brought a key.
    MoreCost,
    /// The same, in ten thousandths of a millionth of a dollar.
    CostTicks,
}

/// Where a kind of tokens is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// In the input, or output, tokens.
    Inside,
    /// Beside them.
    Outside,
}

#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    /// Who reports usage like this.
    pub of: &'static str,
    /// Only usage in a place that ends with this has the shape.
    pub within: &'static str,
    /// A usage object has this shape if it has one of these keys, and no shape above has. If there are none, any key will do.
    pub marks: &'static [&'static str],
    /// Where tokens that were read from, or written to, a cache are counted.
    pub cached: Where,
    pub reasoning: Where,
    pub keys: &'static [(&'static str, Part)],
}

/// The only shapes in which a total may say that cached or reasoning tokens are counted elsewhere than `cached` and `reasoning`
/// tell: many APIs imitate them.
pub const IMITATED: &[&str] = &["chat", "gemini", "sdk", "opentelemetry", "dotnet"];

/// From the most specific to the most general.
pub const SHAPES: &[Shape] = &[
    Shape {
        name: "opentelemetry",
        of: "OpenTelemetry gen_ai.usage.*, and OpenLLMetry",
        within: "gen_ai.usage",
        marks: &[],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[
            ("input_tokens", Part::Input),
            ("output_tokens", Part::Output),
            ("prompt_tokens", Part::Input),
            ("completion_tokens", Part::Output),
            ("cache_read.input_tokens", Part::CacheRead),
            ("cache_creation.input_tokens", Part::CacheWrite),
            ("cache_write.input_tokens", Part::CacheWrite),
            ("cache_read_input_tokens", Part::CacheRead),
            ("cache_creation_input_tokens", Part::CacheWrite),
            ("cache_write_input_tokens", Part::CacheWrite),
            ("input_tokens.cached", Part::CacheRead),
            ("input_tokens.cache_read", Part::CacheRead),
            ("input_tokens.cache_write", Part::CacheWrite),
            ("reasoning.output_tokens", Part::Reasoning),
            ("output_tokens.reasoning", Part::Reasoning),
            ("text.input_tokens", Part::Contained),
            ("audio.input_tokens", Part::InputAudio),
            ("image.input_tokens", Part::InputImage),
            ("video.input_tokens", Part::InputVideo),
            ("text.output_tokens", Part::Contained),
            ("audio.output_tokens", Part::OutputAudio),
            ("image.output_tokens", Part::OutputImage),
        ],
    },
    Shape {
        name: "cohere",
        of: "Cohere v1 and v2: what is billed",
        within: "",
        marks: &["billed_units"],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[
            ("billed_units.input_tokens", Part::Input),
            ("billed_units.output_tokens", Part::Output),
            ("billed_units.search_units", Part::Queries),
            ("billed_units.image_tokens", Part::InputImage),
            ("billed_units.images", Part::Images),
            ("billed_units.pages", Part::Pages),
            // What is billed may be less than what was read.
            ("tokens.input_tokens", Part::Contained),
            ("tokens.output_tokens", Part::Contained),
        ],
    },
    Shape {
        name: "gemini",
        of: "Gemini and Vertex AI: usageMetadata, also of the Live API",
        within: "",
        marks: &[
            "prompt_token_count",
            "candidates_token_count",
            "thoughts_token_count",
            "prompt_tokens_details[]",
        ],
        cached: Where::Inside,
        reasoning: Where::Outside,
        keys: &[
            ("prompt_token_count", Part::Input),
            ("tool_use_prompt_token_count", Part::MoreInput),
            ("candidates_token_count", Part::Output),
            ("response_token_count", Part::Output),
            ("total_token_count", Part::Total),
            ("thoughts_token_count", Part::Reasoning),
            ("cached_content_token_count", Part::CacheRead),
            ("initial_prompt_token_count", Part::Contained),
            ("prompt_tokens_details[audio]", Part::InputAudio),
            ("prompt_tokens_details[image]", Part::InputImage),
            ("prompt_tokens_details[video]", Part::InputVideo),
            ("cache_tokens_details[audio]", Part::CacheReadAudio),
            ("cache_tokens_details[image]", Part::CacheReadImage),
            ("cache_tokens_details[video]", Part::CacheReadVideo),
            ("candidates_tokens_details[audio]", Part::OutputAudio),
            ("candidates_tokens_details[image]", Part::OutputImage),
            ("response_tokens_details[audio]", Part::OutputAudio),
            ("response_tokens_details[image]", Part::OutputImage),
            ("prompt_tokens_details[]", Part::Contained),
            ("cache_tokens_details[]", Part::Contained),
            ("candidates_tokens_details[]", Part::Contained),
            ("response_tokens_details[]", Part::Contained),
            ("tool_use_prompt_tokens_details[]", Part::Contained),
            // Llama on Bedrock.
            ("generation_token_count", Part::Output),
        ],
    },
    Shape {
        name: "openinference",
        of: "OpenInference: llm.token_count.*",
        within: "llm.token_count",
        marks: &[],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[
            ("prompt", Part::Input),
            ("completion", Part::Output),
            ("total", Part::Total),
            ("prompt_details.cache_read", Part::CacheRead),
            ("prompt_details.cache_write", Part::CacheWrite),
            ("prompt_details.audio", Part::InputAudio),
            ("completion_details.reasoning", Part::Reasoning),
            ("completion_details.audio", Part::OutputAudio),
        ],
    },
    Shape {
        name: "perplexity",
        of: "Perplexity, with what it costs or how often it searched",
        within: "",
        marks: &["cost.total_cost", "num_search_queries"],
        cached: Where::Inside,
        reasoning: Where::Outside,
        keys: &[
            ("prompt_tokens", Part::Input),
            ("completion_tokens", Part::Output),
            // Without citations and reasoning.
            ("total_tokens", Part::Contained),
            ("citation_tokens", Part::MoreInput),
            ("reasoning_tokens", Part::Reasoning),
            ("num_search_queries", Part::WebSearches),
            ("cost.input_tokens_cost", Part::Contained),
            ("cost.output_tokens_cost", Part::Contained),
            ("cost.citation_tokens_cost", Part::Contained),
            ("cost.reasoning_tokens_cost", Part::Contained),
        ],
    },
    Shape {
        name: "chat",
        of: "OpenAI Chat Completions, Completions and Embeddings, Azure, Mistral, DeepSeek, xAI, Groq, OpenRouter, LiteLLM, Vercel AI \
             SDK 4",
        within: "",
        marks: &[
            "prompt_tokens",
            "completion_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
        ],
        cached: Where::Inside,
        // xAI counts it outside. Then total_tokens says so.
        reasoning: Where::Inside,
        keys: &[
            ("prompt_tokens", Part::Input),
            ("completion_tokens", Part::Output),
            ("input_tokens", Part::Input),
            ("output_tokens", Part::Output),
            ("prompt_tokens_details.cached_tokens", Part::CacheRead),
            ("prompt_tokens_details.cache_write_tokens", Part::CacheWrite),
            ("prompt_tokens_details.audio_tokens", Part::InputAudio),
            ("prompt_tokens_details.image_tokens", Part::InputImage),
            ("prompt_tokens_details.video_tokens", Part::InputVideo),
            ("prompt_tokens_details.text_tokens", Part::Contained),
            ("completion_tokens_details.reasoning_tokens", Part::Reasoning),
            ("completion_tokens_details.audio_tokens", Part::OutputAudio),
            ("completion_tokens_details.image_tokens", Part::OutputImage),
            ("completion_tokens_details.text_tokens", Part::Contained),
            (
                "completion_tokens_details.accepted_prediction_tokens",
                Part::Contained,
            ),
            (
                "completion_tokens_details.rejected_prediction_tokens",
                Part::Contained,
            ),
            // DeepSeek.
            ("prompt_cache_hit_tokens", Part::CacheRead),
            ("prompt_cache_miss_tokens", Part::Contained),
            // Mistral.
            ("num_cached_tokens", Part::CacheRead),
            ("prompt_token_details.cached_tokens", Part::CacheRead),
            ("prompt_audio_seconds", Part::Seconds),
            // CrewAI.
            ("cached_prompt_tokens", Part::CacheRead),
            // xAI. Its searches cost more than most answers.
            ("num_sources_used", Part::WebSearches),
            ("num_server_side_tools_used", Part::WebSearches),
            // LiteLLM.
            ("cache_read_input_tokens", Part::CacheRead),
            ("cache_creation_input_tokens", Part::CacheWrite),
            ("prompt_tokens_details.cache_creation_tokens", Part::CacheWrite),
            (
                "prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",
                Part::CacheWrite5m,
            ),
            (
                "prompt_tokens_details.cache_creation_token_details.ephemeral_30m_input_tokens",
                Part::Contained,
            ),
            (
                "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
                Part::CacheWrite1h,
            ),
            (
                "prompt_tokens_details.cache_creation_token_details.ephemeral_12h_input_tokens",
                Part::CacheWrite12h,
            ),
            ("prompt_tokens_details.tool_use_tokens", Part::Contained),
            ("prompt_tokens_details.initial_prompt_tokens", Part::Contained),
            ("prompt_tokens_details.web_search_requests", Part::WebSearches),
            ("prompt_tokens_details.character_count", Part::Characters),
            ("prompt_tokens_details.image_count", Part::Images),
            ("prompt_tokens_details.query_count", Part::Queries),
        ],
    },
    Shape {
        name: "dotnet",
        of: "OpenAI for .NET, Microsoft.Extensions.AI, Semantic Kernel: with cached or reasoning tokens",
        within: "",
        marks: &[
            "input_token_details.cached_token_count",
            "output_token_details.reasoning_token_count",
            "cached_input_token_count",
            "reasoning_token_count",
        ],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[
            ("input_token_count", Part::Input),
            ("output_token_count", Part::Output),
            ("total_token_count", Part::Total),
            ("cached_input_token_count", Part::CacheRead),
            ("reasoning_token_count", Part::Reasoning),
            ("input_token_details.cached_token_count", Part::CacheRead),
            ("input_token_details.audio_token_count", Part::InputAudio),
            ("output_token_details.reasoning_token_count", Part::Reasoning),
            ("output_token_details.audio_token_count", Part::OutputAudio),
            (
                "output_token_details.accepted_prediction_token_count",
                Part::Contained,
            ),
            (
                "output_token_details.rejected_prediction_token_count",
                Part::Contained,
            ),
        ],
    },
    Shape {
        name: "bedrock_invoke",
        of: "Bedrock InvokeModel: amazon-bedrock-invocationMetrics, the headers, Titan",
        within: "",
        marks: &[
            "input_token_count",
            "output_token_count",
            "input_text_token_count",
            "x_amzn_bedrock_input_token_count",
            "x_amzn_bedrock_output_token_count",
        ],
        cached: Where::Outside,
        reasoning: Where::Inside,
        keys: &[
            ("input_token_count", Part::Input),
            ("output_token_count", Part::Output),
            ("total_token_count", Part::Total),
            ("cache_read_input_token_count", Part::CacheRead),
            ("cache_write_input_token_count", Part::CacheWrite),
            ("x_amzn_bedrock_input_token_count", Part::Input),
            ("x_amzn_bedrock_output_token_count", Part::Output),
            ("x_amzn_bedrock_cache_read_input_token_count", Part::CacheRead),
            ("x_amzn_bedrock_cache_write_input_token_count", Part::CacheWrite),
            ("input_text_token_count", Part::Input),
            ("results[].token_count", Part::Output),
        ],
    },
    Shape {
        name: "watsonx",
        of: "watsonx.ai text generation",
        within: "",
        marks: &["results[].generated_token_count"],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[
            ("results[].input_token_count", Part::Input),
            ("results[].generated_token_count", Part::Output),
        ],
    },
    Shape {
        name: "ollama",
        of: "Ollama",
        within: "",
        marks: &["prompt_eval_count", "eval_count"],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[("prompt_eval_count", Part::Input), ("eval_count", Part::Output)],
    },
    Shape {
        name: "bedrock",
        of: "Bedrock Converse, and Nova by InvokeModel",
        within: "",
        marks: &[
            "cache_write_input_tokens",
            "cache_details[]",
            "cache_read_input_token_count",
            "cache_write_input_token_count",
        ],
        cached: Where::Outside,
        reasoning: Where::Inside,
        keys: &[
            ("input_tokens", Part::Input),
            ("output_tokens", Part::Output),
            ("total_tokens", Part::Total),
            ("cache_read_input_tokens", Part::CacheRead),
            ("cache_write_input_tokens", Part::CacheWrite),
            // The API gives these, too; some libraries leave them out.
            ("cache_read_input_token_count", Part::CacheRead),
            ("cache_write_input_token_count", Part::CacheWrite),
            ("cache_details[5m]", Part::CacheWrite5m),
            ("cache_details[1h]", Part::CacheWrite1h),
        ],
    },
    Shape {
        name: "anthropic",
        of: "Anthropic Messages, also on Bedrock and Vertex AI",
        within: "",
        marks: &[
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "cache_creation",
            "output_tokens_details.thinking_tokens",
        ],
        cached: Where::Outside,
        reasoning: Where::Inside,
        keys: &[
            ("input_tokens", Part::Input),
            ("output_tokens", Part::Output),
            ("total_tokens", Part::Total),
            ("cache_read_input_tokens", Part::CacheRead),
            ("cache_creation_input_tokens", Part::CacheWrite),
            ("cache_creation.ephemeral_5m_input_tokens", Part::CacheWrite5m),
            ("cache_creation.ephemeral_1h_input_tokens", Part::CacheWrite1h),
            ("cache_creation.ephemeral_12h_input_tokens", Part::CacheWrite12h),
            ("output_tokens_details.thinking_tokens", Part::Reasoning),
            // The other keys do not count what a compaction used. They count what the other iterations used.
            ("iterations[compaction].input_tokens", Part::MoreInput),
            ("iterations[compaction].output_tokens", Part::MoreOutput),
            (
                "iterations[compaction].cache_read_input_tokens",
                Part::MoreCacheRead,
            ),
            (
                "iterations[compaction].cache_creation_input_tokens",
                Part::MoreCacheWrite,
            ),
            (
                "iterations[compaction].cache_creation.ephemeral_1h_input_tokens",
                Part::MoreCacheWrite1h,
            ),
            (
                "iterations[compaction].cache_creation.ephemeral_5m_input_tokens",
                Part::Contained,
            ),
            ("iterations[message].*", Part::Contained),
        ],
    },
    Shape {
        name: "sdk",
        of: "OpenAI Responses, Realtime, Agents, images and transcriptions, Vercel AI SDK 5 and 6, LangChain, Pydantic AI",
        within: "",
        marks: &[
            "input_tokens",
            "output_tokens",
            "input_token_details",
            "output_token_details",
        ],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[
            ("input_tokens", Part::Input),
            ("output_tokens", Part::Output),
            // OpenAI Responses, images and transcriptions.
            ("input_tokens_details.cached_tokens", Part::CacheRead),
            ("input_tokens_details.cache_write_tokens", Part::CacheWrite),
            ("input_tokens_details.audio_tokens", Part::InputAudio),
            ("input_tokens_details.image_tokens", Part::InputImage),
            ("input_tokens_details.text_tokens", Part::Contained),
            ("output_tokens_details.reasoning_tokens", Part::Reasoning),
            ("output_tokens_details.audio_tokens", Part::OutputAudio),
            ("output_tokens_details.image_tokens", Part::OutputImage),
            ("output_tokens_details.text_tokens", Part::Contained),
            // OpenAI Realtime and transcriptions.
            ("input_token_details.cached_tokens", Part::CacheRead),
            ("input_token_details.audio_tokens", Part::InputAudio),
            ("input_token_details.image_tokens", Part::InputImage),
            ("input_token_details.text_tokens", Part::Contained),
            (
                "input_token_details.cached_tokens_details.audio_tokens",
                Part::CacheReadAudio,
            ),
            (
                "input_token_details.cached_tokens_details.image_tokens",
                Part::CacheReadImage,
            ),
            (
                "input_token_details.cached_tokens_details.text_tokens",
                Part::Contained,
            ),
            ("output_token_details.audio_tokens", Part::OutputAudio),
            ("output_token_details.image_tokens", Part::OutputImage),
            ("output_token_details.text_tokens", Part::Contained),
            // Vercel AI SDK 5.
            ("cached_input_tokens", Part::CacheRead),
            // Vercel AI SDK 6.
            ("input_token_details.no_cache_tokens", Part::Uncached),
            ("input_token_details.cache_read_tokens", Part::CacheRead),
            ("input_token_details.cache_write_tokens", Part::CacheWrite),
            ("output_token_details.reasoning_tokens", Part::Reasoning),
            // Providers of the Vercel AI SDK 6.
            ("input_tokens.total", Part::Input),
            ("input_tokens.no_cache", Part::Uncached),
            ("input_tokens.cache_read", Part::CacheRead),
            ("input_tokens.cache_write", Part::CacheWrite),
            ("output_tokens.total", Part::Output),
            ("output_tokens.text", Part::Contained),
            ("output_tokens.reasoning", Part::Reasoning),
            // OpenAI Agents: one element for each request.
            ("input_tokens_details[].cached_tokens", Part::CacheRead),
            ("input_tokens_details[].cache_write_tokens", Part::CacheWrite),
            ("output_tokens_details[].reasoning_tokens", Part::Reasoning),
            // Pydantic AI.
            ("cache_read_tokens", Part::CacheRead),
            ("cache_audio_read_tokens", Part::CacheReadAudio),
            // LangChain. Some keys begin with the service tier.
            ("input_token_details.flex_cache_read", Part::CacheRead),
            ("input_token_details.priority_cache_read", Part::CacheRead),
            ("input_token_details.flex", Part::Contained),
            ("input_token_details.priority", Part::Contained),
            ("output_token_details.flex_reasoning", Part::Reasoning),
            ("output_token_details.priority_reasoning", Part::Reasoning),
            ("output_token_details.flex", Part::Contained),
            ("output_token_details.priority", Part::Contained),
            ("input_token_details.cache_read", Part::CacheRead),
            ("input_token_details.cache_creation", Part::CacheWrite),
            (
                "input_token_details.ephemeral_5m_input_tokens",
                Part::CacheWrite5m,
            ),
            (
                "input_token_details.ephemeral_1h_input_tokens",
                Part::CacheWrite1h,
            ),
            ("input_token_details.audio", Part::InputAudio),
            ("input_token_details.image", Part::InputImage),
            ("input_token_details.video", Part::InputVideo),
            ("input_token_details.text", Part::Contained),
            ("output_token_details.reasoning", Part::Reasoning),
            ("output_token_details.audio", Part::OutputAudio),
            ("output_token_details.image", Part::OutputImage),
            ("output_token_details.text", Part::Contained),
        ],
    },
    Shape {
        name: "embedding",
        of: "embeddings and reranking: Voyage (total_tokens), Vercel AI SDK (tokens)",
        within: "",
        marks: &["total_tokens", "tokens"],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[
            ("tokens", Part::Total),
            ("text_tokens", Part::Contained),
            ("image_tokens", Part::Contained),
        ],
    },
    Shape {
        name: "matrice",
        of: "matrice's own keys, which every shape may have, too",
        within: "",
        marks: &[],
        cached: Where::Inside,
        reasoning: Where::Inside,
        keys: &[],
    },
];

/// Keys that usage of every shape may have.
pub const OWN: &[(&str, Part)] = &[
    ("tokens_input", Part::Input),
    ("tokens_output", Part::Output),
    ("total_tokens", Part::Total),
    ("cached_tokens", Part::CacheRead),
    ("cache_write_tokens", Part::CacheWrite),
    ("cache_write_5m_tokens", Part::CacheWrite5m),
    ("cache_write_1h_tokens", Part::CacheWrite1h),
    ("cache_write_12h_tokens", Part::CacheWrite12h),
    ("cached_audio_tokens", Part::CacheReadAudio),
    ("input_audio_tokens", Part::InputAudio),
    ("input_image_tokens", Part::InputImage),
    ("input_video_tokens", Part::InputVideo),
    ("reasoning_tokens", Part::Reasoning),
    ("output_audio_tokens", Part::OutputAudio),
    ("output_image_tokens", Part::OutputImage),
    ("web_searches", Part::WebSearches),
    ("server_tool_use.web_search_requests", Part::WebSearches),
    // The response of OpenAI Responses.
    ("output[web_search_call]", Part::WebSearches),
    // Gemini, and the Vercel AI SDK.
    (
        "candidates[].grounding_metadata.web_search_queries",
        Part::WebSearches,
    ),
    (
        "provider_metadata.google.grounding_metadata.web_search_queries",
        Part::WebSearches,
    ),
    (
        "provider_metadata.vertex.grounding_metadata.web_search_queries",
        Part::WebSearches,
    ),
    ("images", Part::Images),
    ("seconds", Part::Seconds),
    ("characters", Part::Characters),
    ("pages", Part::Pages),
    ("queries", Part::Queries),
    // OpenRouter.
    ("cost", Part::Cost),
    ("cost_details.upstream_inference_cost", Part::MoreCost),
    // xAI.
    ("cost_in_usd_ticks", Part::CostTicks),
    // Vercel AI Gateway, and OpenRouter's provider.
    ("provider_metadata.gateway.cost", Part::Cost),
    ("provider_metadata.openrouter.usage.cost", Part::Cost),
    // DeepInfra, and Claude Code.
    ("estimated_cost", Part::Cost),
    ("total_cost_usd", Part::Cost),
    // Perplexity.
    ("cost.total_cost", Part::Cost),
];

/// Where the usage of a line of an OpenAI batch is, within `response`.
pub const BATCH: &str = "body.usage";

/// Where a response, or what a library makes of it, has usage; the most trusted first. `""` is the object itself. Each of them may
/// also lie within `response`.
pub const PLACES: &[&str] = &[
    // Vercel AI SDK: all steps together. `usage` is that of the last step.
    "total_usage",
    "",
    "gen_ai.usage",
    "llm.token_count",
    "usage",
    "usage_metadata",
    "meta",
    "x_groq.usage",
    "message.usage",
    "message.usage_metadata",
    "metadata.usage",
    "kwargs.usage_metadata",
    "raw",
    "usage.raw",
    "total_usage.raw",
    "provider_metadata.anthropic.usage",
    "response_metadata.usage",
    "response_metadata.token_usage",
    "response_metadata.usage_metadata",
    "kwargs.response_metadata.usage",
    "kwargs.response_metadata.token_usage",
    "llm_output.token_usage",
    "amazon_bedrock_invocation_metrics",
    // A response of boto3.
    "response_metadata.httpheaders",
    // A line of the results of a batch of Anthropic, and, within response, of OpenAI.
    "result.message.usage",
    BATCH,
    // Spring AI keeps what the API gave.
    "native_usage",
    "usage.native_usage",
    "metadata.usage.native_usage",
];

/// What a price depends on, beside the counts: the name of it, and where it may stand. Only the last part of a path is looked for
/// within usage, too.
pub const CHOICES: &[(&str, &[&str])] = &[
    (
        "service_tier",
        &[
            "service_tier",
            "service_tier.type",
            "traffic_type",
            "gen_ai.openai.response.service_tier",
            "openai.response.service_tier",
            "response_metadata.service_tier",
            "provider_metadata.openai.service_tier",
        ],
    ),
    ("inference_geo", &["inference_geo"]),
    ("data_residency", &["data_residency"]),
    ("speed", &["speed"]),
    (
        "provider",
        &[
            "provider",
            "gen_ai.provider.name",
            "gen_ai.system",
            "response_metadata.model_provider",
            "llm.provider",
        ],
    ),
    (
        "model",
        &[
            "model",
            "model_version",
            "model_id",
            "response.model_id",
            "gen_ai.response.model",
            "gen_ai.request.model",
            "response_metadata.model_name",
            "response_metadata.model",
            "kwargs.response_metadata.model_name",
            "kwargs.response_metadata.model",
            "llm.model_name",
            "body.model",
        ],
    ),
];
