//! Reads the file in which the AWS tools keep keys.

use crate::store::chunks::S3Credentials;

/// Finds the key of the profile `default`.
///
/// ```text
/// [default]
/// aws_access_key_id = …
/// aws_secret_access_key = …
/// ```
pub(super) fn default_profile(text: &str) -> Option<S3Credentials> {
    let mut is_default = false;
    let (mut id, mut secret) = (None, None);
    for line in text.lines().map(str::trim) {
        if let Some(profile) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            is_default = profile.trim() == "default";
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_default) else {
            continue;
        };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => id = value,
            "aws_secret_access_key" => secret = value,
            _ => {}
        }
    }
    let (key_id, secret) = id.zip(secret)?;
    Some(S3Credentials { key_id, secret })
}

#[cfg(test)]
mod tests {
    use super::default_profile;

    #[test]
    fn the_default_profile_is_read_and_no_other() {
        let text = "\
            # keys\n\
            [other]\naws_access_key_id = A\naws_secret_access_key = B\n\
            [default]\n aws_access_key_id=C\naws_secret_access_key = D=/+ \nregion = x\n\
            [last]\naws_access_key_id = E\n";
        let found = |text| default_profile(text).map(|key| (key.key_id, key.secret));
        assert_eq!(found(text), Some(("C".to_owned(), "D=/+".to_owned())));
        assert_eq!(found("[default]\naws_access_key_id = C\n"), None);
        assert_eq!(
            found("aws_access_key_id = C\naws_secret_access_key = D"),
            None
        );
    }
}
