use super::*;
use std::convert::Infallible;

/// What a provider sells.
struct Sold(&'static [(&'static str, &'static str)]);

impl Models for Sold {
    type Error = Infallible;

    fn sold(&self, provider: &str, name: &str) -> Result<Option<String>, Infallible> {
        let sold = |(seller, model): &&(&str, &str)| *seller == provider && comparable(model) == name;
        Ok(self.0.iter().find(sold).map(|(_, model)| (*model).to_owned()))
    }

    fn has_provider(&self, provider: &str) -> Result<bool, Infallible> {
        Ok(self.0.iter().any(|(seller, _)| *seller == provider))
    }

    fn has(&self, model: &str, provider: Option<&str>) -> Result<bool, Infallible> {
        let is_it = |&(seller, name): &(&str, &str)| {
            name == model && provider.is_none_or(|provider| provider == seller)
        };
        Ok(self.0.iter().any(is_it))
    }
}

const MODELS: Sold = Sold(&[
    ("openai", "gpt-4o"),
    ("openai", "ft:gpt-4o-2024-08-06"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gemini", "gemini-2.5-pro"),
    ("vertex_ai", "gemini-2.5-pro"),
    ("vertex_ai", "meta/llama-4"),
    ("bedrock", "amazon.nova-pro-v1:0"),
    ("bedrock", "us.amazon.nova-pro-v1:0"),
    ("acme", "acme-1"),
]);

fn found(name: &str, provider: Option<&str>) -> Option<(String, Option<StandIn>)> {
    let Ok(found) = priced(&MODELS, name, provider);
    found.map(|found| (found.model, found.stands_in))
}

#[test]
fn names_mean_models() {
    let of_itself = |model| Some((model, None));
    let (region, snapshot) = (Some(StandIn::Region), Some(StandIn::Snapshot));
    for (name, expected) in [
        ("gpt-4o", of_itself("gpt-4o")),
        (" GPT-4o ", of_itself("gpt-4o")),
        ("openai/gpt-4o", of_itself("gpt-4o")),
        ("Claude-Sonnet-4.5", of_itself("claude-sonnet-4-5")),
        (
            "openrouter/anthropic/claude-sonnet-4.5",
            of_itself("claude-sonnet-4-5"),
        ),
        ("openai/responses/gpt-4o", of_itself("gpt-4o")),
        ("OPENAI/RESPONSES/gpt-4o", of_itself("gpt-4o")),
        ("models/gemini-2.5-pro", of_itself("gemini-2.5-pro")),
        (
            "publishers/google/models/gemini-2.5-pro",
            of_itself("gemini-2.5-pro"),
        ),
        (
            "projects/p/locations/l/publishers/meta/models/llama-4",
            of_itself("meta/llama-4"),
        ),
        ("projects/p/locations//publishers/meta/models/llama-4", None),
        ("gpt-4o-2099-01-02", Some(("gpt-4o", snapshot))),
        ("openai/gpt-4o-20990102", Some(("gpt-4o", snapshot))),
        ("gpt-4o-2099-13-02", None),
        ("gpt-4o--2099-12-02", None),
        ("2099-12-02", None),
        ("ft:gpt-4o-2024-08-06:acme::x", of_itself("ft:gpt-4o-2024-08-06")),
        ("ft:gpt-4o-2024-08-06:acme/x", None),
        ("us.amazon.nova-pro-v1:0", of_itself("us.amazon.nova-pro-v1:0")),
        ("ca.amazon.nova-pro-v1:0", Some(("amazon.nova-pro-v1:0", region))),
        ("zz.amazon.nova-pro-v1:0", None),
        ("bedrock/zz.amazon.nova-pro-v1:0", None),
        (
            "bedrock/eu-west-1/amazon.nova-pro-v1:0",
            Some(("amazon.nova-pro-v1:0", region)),
        ),
        (
            "bedrock/us-gov-east-1/amazon.nova-pro-v1:0",
            Some(("amazon.nova-pro-v1:0", region)),
        ),
        ("bedrock/nowhere/amazon.nova-pro-v1:0", None),
        (
            "bedrock/converse/us.amazon.nova-pro-v1:0",
            of_itself("us.amazon.nova-pro-v1:0"),
        ),
        (
            "arn:aws:bedrock:us-east-1:1234:inference-profile/us.amazon.nova-pro-v1:0",
            of_itself("us.amazon.nova-pro-v1:0"),
        ),
        (
            "arn:aws:bedrock:us-east-1:1234:application-inference-profile/x",
            None,
        ),
        ("acme/acme-1", of_itself("acme-1")),
        ("acme-1", of_itself("acme-1")),
        ("Acme-1", None),
        ("ollama/llama3.1", of_itself("local")),
        ("ollama/gpt-oss:120b-cloud", None),
        ("openai/gpt-4o/whatever", None),
        ("elsewhere/gpt-4o", None),
        ("", None),
        ("/", None),
        ("//", None),
        ("é/é-2024-08-0é", None),
    ] {
        let expected = expected.map(|(model, stands_in)| (model.to_owned(), stands_in));
        assert_eq!(found(name, None), expected, "{name}");
    }
    assert_eq!(
        found("openai/gpt-4o", Some("OpenAI")),
        Some(("gpt-4o".into(), None))
    );
    assert_eq!(found("gpt-4o", Some("anthropic")), None);
    assert_eq!(found("gpt-4o", Some("nobody")), None);
    assert_eq!(found("gpt-4o", Some(" ")), Some(("gpt-4o".into(), None)));
    assert_eq!(found(&"x/".repeat(200), None), None);
}

#[test]
fn spellings_stand_in_one_row() {
    let mut spellings: Vec<&str> = PROVIDERS
        .iter()
        .flat_map(|(.., spellings)| *spellings)
        .copied()
        .collect();
    assert!(spellings.iter().all(|spelling| comparable(spelling) == *spelling));
    let beginnings: Vec<&str> = MAKERS
        .iter()
        .flat_map(|(_, beginnings)| *beginnings)
        .copied()
        .collect();
    assert!(
        beginnings
            .iter()
            .all(|beginning| comparable(beginning) == *beginning)
    );
    let count = spellings.len();
    spellings.sort_unstable();
    spellings.dedup();
    assert_eq!(spellings.len(), count);
}

#[test]
fn some_models_bill_requests() {
    for model in [
        "gpt-4o-search-preview",
        "gpt-4o-mini-search-preview-2025-03-11",
        "gpt-5-search-api",
        "perplexity/sonar-pro",
    ] {
        assert!(has_request_fee(model), "{model}");
    }
    for model in ["gpt-4o", "vercel_ai_gateway/perplexity/sonar", "sonar"] {
        assert!(!has_request_fee(model), "{model}");
    }
}

proptest::proptest! {
    #[test]
    fn no_name_panics(name in "[a-z0-9/.:@é-]{0,30}", tail in "[-@](20[0-9-]{0,9}|é)?") {
        let name = name + &tail;
        let _ = (found(&name, None), found(&name, Some(&name)), undated(&name), form(&name));
    }
}
