//! Texts for people: one line each, without control characters, and no longer than somebody reads.

/// Makes one line of a text, of at most `most` characters, cut at a word.
pub(super) fn one_line(text: &str, most: usize) -> String {
    cut(&clean(text), most)
}

/// One line about a finding, of at most `most` characters; the rule's name at its end is always whole.
pub(super) fn with_rule(text: &str, rule: &str, most: usize) -> String {
    let name = format!(" ({rule})");
    let room = most.saturating_sub(name.chars().count());
    format!("{}{name}", cut(&clean(text), room))
}

fn clean(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, most: usize) -> String {
    const MORE: &str = "...";
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let head: String = letters.by_ref().take(most.saturating_sub(MORE.len())).collect();
    let whole = letters.next().is_none_or(char::is_whitespace);
    // A word of more than half the room is cut as well: better half of it than nothing.
    let at_word = head.rfind(' ').filter(|at| !whole && *at >= head.len() / 2).unwrap_or(head.len());
    format!("{}{MORE}", head[..at_word].trim_end_matches([',', ';', ':', '.', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_word_and_keeps_the_rule() {
        let text = with_rule(
            "spec.jetstream.version: latest changes with the controller, and that is why it is not for production",
            "version-floating",
            60,
        );
        assert_eq!(text, "spec.jetstream.version: latest changes... (version-floating)");
        assert!(text.chars().count() <= 60);
    }

    #[test]
    fn a_word_of_more_than_half_the_room_is_cut_as_well() {
        assert_eq!(one_line(&format!("a {}", "b".repeat(50)), 20), format!("a {}...", "b".repeat(15)));
        assert_eq!(one_line(&format!("{} {}", "a".repeat(10), "b".repeat(50)), 20), format!("{}...", "a".repeat(10)));
    }

    #[test]
    fn a_short_text_stays_as_it_is() {
        assert_eq!(with_rule("a: b", "rule", 120), "a: b (rule)");
        assert_eq!(one_line("", 10), "");
    }

    #[test]
    fn no_control_character_gets_through_and_letters_are_not_cut_in_half() {
        assert_eq!(one_line("a\u{1b}[31mred\r\n\tb\u{0}c\u{85}d", 120), "a [31mred b c d");
        let long = one_line(&"\u{fc}".repeat(200), 120);
        assert_eq!(long.chars().count(), 120);
    }
}
