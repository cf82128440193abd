//! A page, read by an HTML parser.

use html5gum::{Token, Tokenizer};

/// Reads the page as a browser does. Returns its texts, and fails if its tags are not nested, if it could run or load something,
/// or if a name has become more than text.
pub(super) fn texts(page: &str) -> Vec<String> {
    const EMPTY: [&str; 6] = ["meta", "rect", "line", "circle", "polyline", "polygon"];
    const TAGS: [&str; 37] = [
        "html", "head", "meta", "title", "style", "body", "header", "main", "h1", "h2", "p", "div", "span",
        "strong", "b", "i", "bdi", "section", "svg", "text", "rect", "line", "circle", "polyline", "polygon",
        "g", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "br", "figure", "a",
    ];
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for token in Tokenizer::new(page) {
        let token: Token = match token {
            Ok(token) => token,
            Err(never) => match never {},
        };
        match token {
            Token::StartTag(tag) => {
                let name = text(&tag.name);
                assert!(TAGS.contains(&name.as_str()), "<{name}> in the page");
                for (attribute, value) in &tag.attributes {
                    let (attribute, value) = (text(attribute), text(value));
                    assert!(!attribute.starts_with("on"), "{attribute}={value}");
                    assert!(
                        !["src", "href", "xlink:href", "action", "xmlns"].contains(&attribute.as_str()),
                        "{attribute}={value}"
                    );
                    assert!(
                        !value.contains("://") && !value.contains("url("),
                        "{attribute}={value}"
                    );
                }
                if !EMPTY.contains(&name.as_str()) {
                    open.push(name);
                } else {
                    assert!(name == "meta" || tag.self_closing, "<{name}> stays open");
                }
            }
            Token::EndTag(tag) => assert_eq!(open.pop(), Some(text(&tag.name))),
            Token::String(string) => {
                let string = text(&string);
                match open.last().map(String::as_str) {
                    Some("style") => assert!(
                        !string.contains("url(") && !string.contains("@import"),
                        "{string}"
                    ),
                    _ => texts.push(string),
                }
            }
            Token::Comment(comment) => panic!("a comment: {}", text(&comment)),
            Token::Doctype(_) => assert!(open.is_empty()),
            Token::Error(error) => panic!("{error:?}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    texts
}
