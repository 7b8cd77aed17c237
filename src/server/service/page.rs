//! Pages of a list, and the opaque tokens between them.

use sha2::{Digest as _, Sha256};

use super::super::protocol::{Code, Fault};

/// Cuts one page out of a whole list. `question` is all that decides what the list is
/// and how it is sorted: a token of another question is refused. The token holds the
/// key of the last entry that was shown, so that a list that grows or shrinks between
/// two pages repeats and leaves out nothing that stayed; and its place, for when that
/// entry is gone.
pub(super) fn page<T>(
    mut all: Vec<T>,
    key: impl Fn(&T) -> &str,
    size: usize,
    token: Option<&str>,
    question: &str,
) -> Result<(Vec<T>, Option<String>), Fault> {
    let start = match token {
        None => 0,
        Some(token) => {
            let (place, last) = read(token, question).ok_or_else(|| {
                Fault::new(
                    Code::InvalidNextTokenException,
                    "The NextToken value is invalid.",
                )
            })?;
            let after = all.iter().position(|entry| key(entry) == last);
            after.map_or(place.min(all.len()), |at| at + 1)
        }
    };
    let end = start.saturating_add(size).min(all.len());
    let next = match all.get(end.wrapping_sub(1)) {
        Some(last) if end < all.len() => Some(write(end, key(last), question)),
        _ => None,
    };
    all.truncate(end);
    Ok((all.split_off(start.min(all.len())), next))
}

fn mark(question: &str) -> String {
    let hash = Sha256::digest(question.as_bytes());
    data_encoding::HEXLOWER.encode(hash.get(..8).unwrap_or_default())
}

fn write(place: usize, last: &str, question: &str) -> String {
    let text = format!("{}/{place}/{last}", mark(question));
    data_encoding::BASE64URL_NOPAD.encode(text.as_bytes())
}

fn read(token: &str, question: &str) -> Option<(usize, String)> {
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(token.as_bytes())
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let rest = text.strip_prefix(&mark(question))?.strip_prefix('/')?;
    let (place, last) = rest.split_once('/')?;
    Some((place.parse().ok()?, last.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(
        all: &[&str],
        token: Option<&str>,
        question: &str,
    ) -> Result<(Vec<String>, Option<String>), Fault> {
        let all: Vec<String> = all.iter().map(|s| (*s).to_owned()).collect();
        page(all, |s| s.as_str(), 2, token, question)
    }

    #[test]
    fn aws_5_pages_follow_each_other_and_the_last_has_no_token() {
        let (first, token) = cut(&["a", "b", "c"], None, "q").unwrap();
        assert_eq!(first, ["a", "b"]);
        let (second, end) = cut(&["a", "b", "c"], token.as_deref(), "q").unwrap();
        assert_eq!((second, end), (vec!["c".to_owned()], None));
        assert_eq!(cut(&["a", "b"], None, "q").unwrap().1, None);
        assert_eq!(cut(&[], None, "q").unwrap(), (vec![], None));
    }

    #[test]
    fn what_stays_is_neither_repeated_nor_left_out_when_the_list_changes() {
        let (_, token) = cut(&["a", "b", "c", "d"], None, "q").unwrap();
        let (second, _) = cut(&["0", "a", "b", "c", "d"], token.as_deref(), "q").unwrap();
        assert_eq!(second, ["c", "d"]);
        let (second, _) = cut(&["a", "c", "d"], token.as_deref(), "q").unwrap();
        assert_eq!(
            second,
            ["d"],
            "b, the last shown, is gone: its place decides"
        );
    }

    #[test]
    fn aws_1_a_token_of_another_question_or_none_at_all_is_refused() {
        let (_, token) = cut(&["a", "b", "c"], None, "q").unwrap();
        for (token, question) in [(token.as_deref(), "r"), (Some("x"), "q"), (Some(""), "q")] {
            let fault = cut(&["a", "b", "c"], token, question).unwrap_err();
            assert_eq!(fault.code, Code::InvalidNextTokenException);
        }
    }
}
