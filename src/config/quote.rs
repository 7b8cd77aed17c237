use std::fmt::Write as _;

/// Writes text as a TOML basic string in its one canonical spelling.
///
/// `"` and `\` are escaped, backspace, tab, line feed, form feed and carriage return
/// have their short escapes, and every other control or bidirectional character is
/// `\uXXXX` with upper-case digits, so that a file that git shows cannot steer a
/// terminal (crypto.md section 6; book, formats/metadata).
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if is_escaped(c) => {
                // Nothing above U+FFFF is escaped. Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `key = "value"` and a line end, for a key that needs no quotes.
pub(crate) fn line(key: &str, value: &str, out: &mut String) {
    out.push_str(key);
    out.push_str(" = ");
    quote(value, out);
    out.push('\n');
}

/// `"key" = "value"` and a line end.
pub(crate) fn entry(key: &str, value: &str, out: &mut String) {
    quote(key, out);
    out.push_str(" = ");
    quote(value, out);
    out.push('\n');
}

/// Control characters, and those that change the direction or the lines of text.
fn is_escaped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = String::new();
        quote(text, &mut out);
        out
    }

    #[test]
    fn each_escape_has_one_spelling() {
        for (text, expected) in [
            ("plain é 漢 🦀", "\"plain é 漢 🦀\""),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{8}\t\n\u{c}\r", r#""\b\t\n\f\r""#),
            ("\0\u{1b}\u{7f}\u{9f}", r#""\u0000\u001B\u007F\u009F""#),
            (
                "\u{202e}\u{2066}\u{feff}\u{2028}",
                r#""\u202E\u2066\uFEFF\u2028""#,
            ),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn every_character_comes_back_through_the_toml_parser() {
        for c in '\0'..=char::MAX {
            if u32::from(c) < 0x3000
                || matches!(c, '\u{fe00}'..='\u{10100}' | '\u{e0000}'..='\u{e0200}')
            {
                let text = format!("x = {}\n", quoted(&format!("a{c}b")));
                let table: toml::Table = text.parse().unwrap();
                assert_eq!(
                    table["x"].as_str(),
                    Some(format!("a{c}b").as_str()),
                    "{c:?}"
                );
            }
        }
    }
}
