//! Fields as forms and addresses carry them: `application/x-www-form-urlencoded`.

use percent_encoding::percent_decode_str;

/// No request has more fields.
const FIELDS_MAX: usize = 64;

/// Named fields, decoded; what is not UTF-8 reads as replacement characters.
#[derive(Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part of an address behind `?`, or the body of a form.
    pub fn parse(text: &str) -> Self {
        let fields = text
            .split('&')
            .filter(|field| !field.is_empty())
            .take(FIELDS_MAX)
            .map(|field| {
                let (name, value) = field.split_once('=').unwrap_or((field, ""));
                (decode(name), decode(value))
            });
        Self(fields.collect())
    }

    /// Reads the body of a request, as a form or as an object of JSON; what it does not say, `otherwise` says.
    pub fn of_body(body: &[u8], is_json: bool, otherwise: Self) -> Self {
        let text = String::from_utf8_lossy(body);
        let mut fields = if is_json {
            fields_of_json(&text)
        } else {
            Self::parse(&text).0
        };
        fields.extend(otherwise.0);
        Self(fields)
    }

    /// Returns the first field of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let found = fields.find(|(have, _)| have == name)?;
        Some(found.1.as_str())
    }

    /// Returns all fields in their order.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.0.iter();
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Returns the fields of an object; what is no plain value is kept as JSON.
fn fields_of_json(text: &str) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else {
        return Vec::new();
    };
    let fields = object.into_iter().take(FIELDS_MAX);
    fields
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            serde_json::Value::Null => (name, String::new()),
            other => (name, other.to_string()),
        })
        .collect()
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn fields_are_decoded_and_the_first_of_a_name_counts() {
        let query = Query::parse("a=1+2&b=%C3%A9%26&a=3&c&&=x");
        assert_eq!(query.get("a"), Some("1 2"));
        assert_eq!(query.get("b"), Some("é&"));
        assert_eq!(query.get("c"), Some(""));
        assert_eq!(query.get("d"), None);
    }
}
