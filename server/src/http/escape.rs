//! Text inside markup: HTML and XML alike.

/// Appends text so that it stands as itself between tags and in quoted attributes.
///
/// Characters that XML cannot carry (section 2.2 of XML 1.0) are left out.
pub fn push_escaped(markup: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => markup.push_str("&amp;"),
            '<' => markup.push_str("&lt;"),
            '>' => markup.push_str("&gt;"),
            '"' => markup.push_str("&quot;"),
            '\'' => markup.push_str("&#39;"),
            '\t' | '\n' | '\r' => markup.push(character),
            '\u{fffe}' | '\u{ffff}' => {}
            other if other.is_control() => {}
            other => markup.push(other),
        }
    }
}

/// Returns text as it stands between tags and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut markup = String::with_capacity(text.len());
    push_escaped(&mut markup, text);
    markup
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_text_opens_a_tag_or_ends_an_attribute() {
        assert_eq!(
            escaped("<a href='x' title=\"y\">&amp;\u{0}\u{1b}é\n"),
            "&lt;a href=&#39;x&#39; title=&quot;y&quot;&gt;&amp;amp;é\n"
        );
    }
}
