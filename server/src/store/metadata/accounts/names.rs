//! The words by which people and groups are found: how a name is taken apart, and where its words are kept.
//!
//! A name is folded (accents and case are gone) and split at everything that is neither a letter nor a
//! digit. Each word is kept whole, and with each of its first [`STEM_CHARACTERS`] letters; so whoever types a
//! letter or four asks for one value of an index, which yields people in the order in which they are
//! shown, and nobody reads all names that begin with an M. Longer beginnings are a range of whole words.
//!
//! # Always true
//!
//! * The words of an account or group change in the transaction that changes its name or its state.
//! * Who may not sign in has no words, so nobody finds them.
//! * What has no words yet (`worded` is 0) gets them from [`IndexNames`], whichever release has made it.

use caseless::default_case_fold_str;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// So many first letters of a word are kept as rows of their own.
pub(super) const STEM_CHARACTERS: usize = 4;
/// The longest word, in characters; what is behind is not looked at.
const WORD_CHARACTERS_MAX: usize = 32;
/// Words of one account or group.
const WORDS_MAX: usize = 24;
/// Characters by which names are put in order.
const PLACE_CHARACTERS: usize = 32;

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Person(UserId),
    Team(TeamId),
}

impl Holder {
    fn columns(self) -> (i64, i64) {
        match self {
            Self::Person(UserId(id)) => (0, id),
            Self::Team(TeamId(id)) => (1, id),
        }
    }
}

/// Returns a text without accents and case.
pub fn plain(text: &str) -> String {
    let bare = |text: &str| -> String {
        let marked = text.nfkd().filter(|letter| !is_combining_mark(*letter));
        marked.collect()
    };
    let folded = bare(&default_case_fold_str(&bare(text)));
    let mut plain = String::with_capacity(folded.len());
    for letter in folded.chars() {
        // Letters of their own for Unicode, but not for whoever types a name.
        match letter {
            'œ' => plain.push_str("oe"),
            'æ' => plain.push_str("ae"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'þ' => plain.push_str("th"),
            'ı' => plain.push('i'),
            other => plain.push(other),
        }
    }
    plain
}

/// Returns the words of a text, folded, in its order.
pub fn words_of(text: &str) -> Vec<String> {
    let plain = plain(text);
    let words = plain.split(|letter: char| !letter.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(WORD_CHARACTERS_MAX).collect())
        .collect()
}

/// Returns the words under which names are found: also those that a hyphen or an apostrophe
/// joins, as one ("Jean-Luc" is found by "jeanluc").
fn words_to_keep(texts: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for piece in texts.iter().flat_map(|text| text.split_whitespace()) {
        let parts = words_of(piece);
        if parts.len() > 1 {
            words.push(parts.concat().chars().take(WORD_CHARACTERS_MAX).collect());
        }
        words.extend(parts);
    }
    let mut kept: Vec<String> = Vec::new();
    for word in words {
        if !kept.contains(&word) && kept.len() < WORDS_MAX {
            kept.push(word);
        }
    }
    kept
}

/// Returns the rows of words: each with whether it is only the beginning of words.
fn rows_of(words: &[String]) -> Vec<(String, bool)> {
    let mut rows: Vec<(String, bool)> = words.iter().map(|word| (word.clone(), false)).collect();
    for word in words {
        let ends = word.char_indices().map(|(at, _)| at);
        for end in ends.skip(1).take(STEM_CHARACTERS) {
            let stem = word.get(..end).unwrap_or_default();
            if rows.iter().all(|(row, _)| row != stem) {
                rows.push((stem.to_owned(), true));
            }
        }
    }
    rows
}

/// Keeps the words of a person's names in place of those that were there.
pub(super) async fn keep_person<T: Tx>(
    tx: &mut T,
    id: UserId,
    (name, display_name, email): (&str, &str, Option<&str>),
) -> StoreResult<()> {
    let mailbox = email.unwrap_or_default().split('@').next();
    let texts = [display_name, name.split('@').next().unwrap_or(name)];
    let texts: Vec<&str> = texts.into_iter().chain(mailbox).collect();
    keep(tx, Holder::Person(id), &texts).await?;
    tx.perform(
        "UPDATE account SET worded = 1 WHERE id = $1",
        &[id.0.into()],
    )
    .await
}

/// Keeps the words of a group's name in place of those that were there.
pub(super) async fn keep_team<T: Tx>(tx: &mut T, id: TeamId, name: &str) -> StoreResult<()> {
    keep(tx, Holder::Team(id), &[name]).await?;
    tx.perform("UPDATE team SET worded = 1 WHERE id = $1", &[id.0.into()])
        .await
}

/// Writes the rows of texts, of which the first is the name that people see.
async fn keep<T: Tx>(tx: &mut T, holder: Holder, texts: &[&str]) -> StoreResult<()> {
    drop_rows(tx, holder).await?;
    let shown = plain(texts.first().copied().unwrap_or_default());
    let place: String = shown.chars().take(PLACE_CHARACTERS).collect();
    let (kind, id) = holder.columns();
    for (word, is_part) in rows_of(&words_to_keep(texts)) {
        tx.perform(
            "INSERT INTO name_word (kind, holder_id, word, part, place) VALUES ($1, $2, $3, $4, $5)",
            &[
                kind.into(),
                id.into(),
                word.as_str().into(),
                i64::from(is_part).into(),
                place.as_str().into(),
            ],
        )
        .await?;
    }
    Ok(())
}

/// Lets nobody find an account or a group any more.
pub(super) async fn forget<T: Tx>(tx: &mut T, holder: Holder) -> StoreResult<()> {
    drop_rows(tx, holder).await?;
    let (_, id) = holder.columns();
    let unworded = match holder {
        Holder::Person(_) => "UPDATE account SET worded = 0 WHERE id = $1",
        Holder::Team(_) => "UPDATE team SET worded = 0 WHERE id = $1",
    };
    tx.perform(unworded, &[id.into()]).await
}

async fn drop_rows<T: Tx>(tx: &mut T, holder: Holder) -> StoreResult<()> {
    let (kind, id) = holder.columns();
    tx.perform(
        "DELETE FROM name_word WHERE kind = $1 AND holder_id = $2",
        &[kind.into(), id.into()],
    )
    .await
}

/// Gives words to some accounts and groups that have none; yields how many.
#[derive(Debug, Clone)]
pub struct IndexNames {
    /// The most accounts, and the most groups, of one transaction.
    pub limit: i64,
}

impl Operation for IndexNames {
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        let people = tx
            .ask(
                "SELECT id, name, display_name, email FROM account \
                 WHERE worded = 0 AND state = 0 ORDER BY id LIMIT $1",
                &[self.limit.into()],
                |row| Ok((row.int(0)?, row.text(1)?, row.text(2)?, row.opt_text(3)?)),
            )
            .await?;
        let teams = tx
            .ask(
                "SELECT id, name FROM team WHERE worded = 0 AND state = 0 ORDER BY id LIMIT $1",
                &[self.limit.into()],
                |row| Ok((row.int(0)?, row.text(1)?)),
            )
            .await?;
        let (people, teams) = (tx.answer(people).await?, tx.answer(teams).await?);
        let found = people.len() + teams.len();
        for (id, name, display_name, email) in people {
            // Whoever is disabled at this moment waits here, or makes this find nothing.
            let mine = tx
                .execute(
                    "UPDATE account SET worded = 1 WHERE id = $1 AND worded = 0 AND state = 0",
                    &[id.into()],
                )
                .await?;
            if mine > 0 {
                let names = (name.as_str(), display_name.as_str(), email.as_deref());
                keep_person(tx, UserId(id), names).await?;
            }
        }
        for (id, name) in teams {
            let mine = tx
                .execute(
                    "UPDATE team SET worded = 1 WHERE id = $1 AND worded = 0 AND state = 0",
                    &[id.into()],
                )
                .await?;
            if mine > 0 {
                keep_team(tx, TeamId(id), &name).await?;
            }
        }
        Ok(found as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::rows_of;
    use super::words_of;
    use super::words_to_keep;

    #[test]
    fn accents_and_case_are_no_part_of_a_word() {
        assert_eq!(words_of("Éloïse  Lefèvre"), ["eloise", "lefevre"]);
        assert_eq!(words_of("E\u{301}LOI\u{308}SE"), ["eloise"]);
        assert_eq!(words_of("Œuvré STRAẞE Łódź"), ["oeuvre", "strasse", "lodz"]);
        assert_eq!(words_of("李 小明"), ["李", "小明"]);
        assert_eq!(words_of("  -_'. "), Vec::<String>::new());
        assert_eq!(words_of(&"x".repeat(500))[0].len(), 32);
    }

    #[test]
    fn words_that_a_sign_joins_are_kept_apart_and_together() {
        let words = words_to_keep(&["Jean-Luc d'Or", "jean.luc"]);
        assert_eq!(words, ["jeanluc", "jean", "luc", "dor", "d", "or"]);
    }

    #[test]
    fn the_first_letters_of_a_word_are_rows_of_their_own() {
        let words = ["lionel".to_owned(), "li".to_owned()];
        let rows = rows_of(&words);
        let rows: Vec<(&str, bool)> = rows.iter().map(|(word, part)| (&word[..], *part)).collect();
        let expected = [
            ("lionel", false),
            ("li", false),
            ("l", true),
            ("lio", true),
            ("lion", true),
        ];
        assert_eq!(rows, expected);
        let many: Vec<String> = (0..100).map(|number| format!("w{number}")).collect();
        assert_eq!(words_to_keep(&[&many.join(" ")]).len(), 24);
    }
}
