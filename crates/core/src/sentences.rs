//! Where a text that is too long may end.

use crate::split::units::{Unit, stable_end};

/// The longest beginning of `text` that has at most `most_chars` characters and ends with a sentence or a line, as UAX #29
/// has them. If no sentence ends there it ends with a word, and if no word ends there, anywhere. Without white space at
/// its end, unless it is all of `text`.
pub fn whole_sentences(text: &str, most_chars: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(most_chars) else {
        return text;
    };
    let known = &text[..stable_end(text, end)];
    let last = |unit: Unit| {
        let ends = unit.ends(known, 0).map(|at| known[..at].trim_end().len());
        ends.take_while(|&at| at <= end).filter(|&at| at > 0).last()
    };
    let end = last(Unit::Sentence).or_else(|| last(Unit::Word)).unwrap_or(end);
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_a_sentence() {
        let text = "Dr. Who came at 5 p.m. He left.  “Why?” she asked.\nNobody knew";
        for (most_chars, expected) in [
            (0, ""),
            (3, "Dr."),
            (21, "Dr."),
            (22, "Dr. Who came at 5 p.m."),
            (30, "Dr. Who came at 5 p.m."),
            (31, "Dr. Who came at 5 p.m. He left."),
            (38, "Dr. Who came at 5 p.m. He left."),
            (39, "Dr. Who came at 5 p.m. He left.  “Why?”"),
            (49, "Dr. Who came at 5 p.m. He left.  “Why?”"),
            (50, "Dr. Who came at 5 p.m. He left.  “Why?” she asked."),
            (61, "Dr. Who came at 5 p.m. He left.  “Why?” she asked."),
            (62, text),
        ] {
            assert_eq!(whole_sentences(text, most_chars), expected, "{most_chars}");
        }
    }

    #[test]
    fn scripts_without_spaces_have_sentences_and_words() {
        assert_eq!(
            whole_sentences("風が吹く。雨が降る。雪", 10),
            "風が吹く。雨が降る。"
        );
        assert_eq!(whole_sentences("風が吹く。雨が降る。雪", 9), "風が吹く。");
        assert_eq!(whole_sentences("東京都は日本の首都である", 4), "東京都は");
    }

    #[test]
    fn without_a_sentence_it_ends_with_a_word() {
        assert_eq!(whole_sentences("an unending sentence", 13), "an unending");
        assert_eq!(whole_sentences("an unending sentence", 11), "an unending");
        assert_eq!(whole_sentences("unending", 4), "unen");
        assert_eq!(whole_sentences("", 4), "");
        assert_eq!(whole_sentences("a line\nanother", 9), "a line");
    }
}
