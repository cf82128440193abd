//! How providers and models are written. A new provider is a row here.

/// As LiteLLM, OpenTelemetry (`gen_ai.provider.name`), the AI SDK, OpenRouter and the providers themselves write them, each as
/// `comparable` spells it: the provider of the prices, whether it sells the models of others at the prices of their makers, and its
/// spellings. A provider that is not here is spelled as in the prices.
pub(super) const PROVIDERS: &[(&str, bool, &[&str])] = &[
    (
        "openai",
        false,
        &[
            "openai",
            "openai-chat",
            "openai-responses",
            "openai-completion",
            "openai-embedding",
            "text-completion-openai",
        ],
    ),
    ("anthropic", false, &["anthropic", "anthropic-messages"]),
    (
        "gemini",
        false,
        &[
            "gemini",
            "google",
            "google-ai-studio",
            "google-generative-ai",
            "gcp-gemini",
            "gcp-gen_ai",
            "google-gla",
        ],
    ),
    (
        "vertex_ai",
        false,
        &[
            "vertex_ai",
            "vertex",
            "vertexai",
            "google-vertex",
            "google-vertex-chat",
            "google-vertex-ai",
            "gcp-vertex_ai",
            "vertex-anthropic",
            "google-vertex-anthropic-messages",
        ],
    ),
    (
        "azure",
        false,
        &[
            "azure",
            "azure-openai",
            "azure-ai-openai",
            "az-ai-openai",
            "azure-chat",
            "azure-responses",
            "azure-openai-chat",
            "azure_text",
        ],
    ),
    (
        "azure_ai",
        false,
        &["azure_ai", "azure-ai-inference", "az-ai-inference"],
    ),
    (
        "bedrock",
        false,
        &[
            "bedrock",
            "aws-bedrock",
            "amazon-bedrock",
            "amazon_bedrock",
            "bedrock_converse",
            "bedrock_mantle",
            "amazon",
        ],
    ),
    ("amazon_nova", false, &["amazon-nova"]),
    (
        "mistral",
        false,
        &["mistral", "mistral_ai", "mistralai", "mistral-chat"],
    ),
    (
        "xai",
        false,
        &["xai", "x-ai", "x_ai", "xai-chat", "xai-responses"],
    ),
    ("deepseek", false, &["deepseek", "deepseek-chat"]),
    ("cohere", false, &["cohere", "cohere_chat", "cohere-chat"]),
    ("groq", false, &["groq", "groq-chat"]),
    ("cerebras", false, &["cerebras", "cerebras-chat"]),
    ("perplexity", false, &["perplexity"]),
    ("voyage", false, &["voyage", "voyageai"]),
    (
        "together_ai",
        false,
        &["together_ai", "together", "togetherai", "togetherai-chat"],
    ),
    (
        "fireworks_ai",
        false,
        &["fireworks_ai", "fireworks", "fireworks-chat"],
    ),
    ("deepinfra", false, &["deepinfra"]),
    ("dashscope", false, &["dashscope", "alibaba"]),
    ("moonshot", false, &["moonshot", "moonshotai"]),
    ("zai", false, &["zai", "z-ai"]),
    ("minimax", false, &["minimax"]),
    ("jina_ai", false, &["jina_ai", "jina"]),
    ("watsonx", false, &["watsonx", "ibm-watsonx-ai"]),
    ("databricks", false, &["databricks"]),
    ("openrouter", true, &["openrouter"]),
    (
        "vercel_ai_gateway",
        true,
        &["vercel_ai_gateway", "vercel", "gateway"],
    ),
    (
        "local",
        false,
        &[
            "local",
            "ollama",
            "ollama_chat",
            "llama-cpp",
            "llamacpp",
            "llama_cpp",
            "llamafile",
            "lm_studio",
            "lmstudio",
            "lemonade",
            "xenova",
            "offline",
        ],
    ),
];

/// Who makes the models whose names begin in a certain way, and sells them under this name: the providers, the first choice first,
/// and the beginnings, as `comparable` spells them. Of several beginnings that fit, the first one counts. Open models that their
/// maker does not sell have no provider.
pub(super) const MAKERS: &[(&[&str], &[&str])] = &[
    (&[], &["gpt-oss"]),
    (
        &["openai"],
        &[
            "gpt-",
            "chatgpt-",
            "o1",
            "o3",
            "o4-",
            "ft:",
            "text-embedding-3",
            "text-embedding-ada",
            "whisper-",
            "tts-",
        ],
    ),
    (&["anthropic"], &["claude-"]),
    (&["gemini", "vertex_ai"], &["gemini-", "veo-", "imagen-"]),
    (&["xai"], &["grok-"]),
    (&["deepseek"], &["deepseek-"]),
    (
        &["mistral"],
        &[
            "mistral-",
            "ministral-",
            "magistral-",
            "codestral-",
            "devstral-",
            "pixtral-",
            "voxtral-",
            "open-mistral-",
            "open-mixtral-",
        ],
    ),
    (
        &["cohere"],
        &["command-", "embed-", "rerank-v", "rerank-english", "rerank-multi"],
    ),
    (&["voyage"], &["voyage-", "rerank-"]),
    (&["jina_ai"], &["jina-"]),
    (&["perplexity"], &["sonar"]),
    (&["ai21"], &["jamba-"]),
    (&["dashscope"], &["qwen", "qwq-"]),
    (&["moonshot"], &["kimi-", "moonshot-"]),
    (&["zai"], &["glm-"]),
    (&["minimax"], &["minimax-", "speech-"]),
    (&["elevenlabs"], &["eleven_", "scribe_"]),
    (&["amazon_nova", "deepgram"], &["nova-"]),
];

/// Who makes the models of Bedrock, as their identifiers begin.
pub(super) const VENDORS: &[&str] = &[
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "nvidia",
    "openai",
    "qwen",
    "stability",
    "twelvelabs",
    "writer",
    "zai",
];

/// The system-defined inference profiles of Bedrock, as identifiers begin.
pub(super) const PROFILES: &[&str] = &["us", "us-gov", "eu", "apac", "jp", "au", "ca", "in", "global"];

/// How the regions of AWS begin.
pub(super) const AREAS: &[&str] = &["us", "eu", "ap", "ca", "sa", "me", "af", "il", "mx", "cn"];
