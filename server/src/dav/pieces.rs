//! A listing in pieces (X-NC-Paginate), for phones that cannot hold a folder of thousands at once.
//!
//! Nothing is kept between two pieces: the token that a client brings back names the child behind which the next piece begins, so
//! that it goes on exactly there whatever came or went meanwhile. A client that goes by numbers instead
//! (the first token with a larger offset) is answered as long as the folder is the same; otherwise, and
//! for whatever else is not understood, it gets the whole, in which nothing can be missing.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::error::DavError;
use crate::dav::mount::push_segment;
use crate::dav::properties::Facts;
use crate::dav::properties::MULTISTATUS;
use crate::dav::properties::MULTISTATUS_END;
use crate::dav::properties::Selection;
use crate::files::Listing;
use crate::files::ListingPlace;
use crate::files::NodeId;

const PAGINATE: HeaderName = HeaderName::from_static("x-nc-paginate");
const COUNT: HeaderName = HeaderName::from_static("x-nc-paginate-count");
const TOKEN: HeaderName = HeaderName::from_static("x-nc-paginate-token");
const OFFSET: HeaderName = HeaderName::from_static("x-nc-paginate-offset");
const TOTAL: HeaderName = HeaderName::from_static("x-nc-paginate-total");

/// Entries of a piece whose size the client does not say.
const COUNT_DEFAULT: usize = 100;
/// Entries of the largest piece; who wants more at once gets everything, streamed.
const COUNT_MAX: usize = 1_000;
/// Bytes for which there is room from the beginning, for each entry.
const ENTRY_BYTES: usize = 1 << 10;

/// Which piece of a listing is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceAsked {
    /// Entries to leave out; the folder itself is the first.
    offset: u64,
    /// Entries to answer with.
    count: usize,
    /// Where the piece before ended.
    token: Option<Token>,
}

impl PieceAsked {
    /// Reads the headers; `None`: the whole listing is wanted, or must be answered with.
    pub fn parse(headers: &HeaderMap) -> Option<Self> {
        // What is no text is understood as little as an empty one.
        let text = |name: &HeaderName| {
            let value = headers.get(name)?;
            Some(value.to_str().map(str::trim).unwrap_or_default())
        };
        if !text(&PAGINATE)?.eq_ignore_ascii_case("true") {
            return None;
        }
        let count = match text(&COUNT) {
            Some(count) => count.parse().ok()?,
            None => COUNT_DEFAULT,
        };
        let token = match text(&TOKEN) {
            Some(token) => Some(Token::parse(token)?),
            None => None,
        };
        let offset = match text(&OFFSET) {
            Some(offset) => offset.parse().ok()?,
            None => token.as_ref().map_or(0, |token| token.offset),
        };
        let is_understood = (1..=COUNT_MAX).contains(&count) && (token.is_some() || offset == 0);
        is_understood.then_some(Self {
            offset,
            count,
            token,
        })
    }
}

/// Where a piece ended: `folder.total.offset.place.etag`, numbers in decimal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    folder: i64,
    /// Entries of all pieces when the first was answered.
    total: u64,
    /// Entries of the pieces so far.
    offset: u64,
    place: ListingPlace,
    /// The folder's ETag at that time.
    etag: String,
}

impl Token {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '.');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (folder, total, offset) = (number()?, number()?, number()?);
        let place = parts.next()?;
        let place = match place.split_at_checked(1)? {
            ("c", after) => ListingPlace::Child(NodeId(after.parse().ok()?)),
            ("m", seen) => ListingPlace::Mount(seen.parse().ok()?),
            _ => return None,
        };
        Some(Self {
            folder: i64::try_from(folder).ok()?,
            total,
            offset,
            place,
            etag: parts.next()?.to_owned(),
        })
    }

    fn write(&self) -> String {
        let place = match self.place {
            ListingPlace::Child(after) => format!("c{}", after.0),
            ListingPlace::Mount(seen) => format!("m{seen}"),
        };
        let Self {
            folder,
            total,
            offset,
            etag,
            ..
        } = self;
        format!("{folder}.{total}.{offset}.{place}.{etag}")
    }
}

/// A piece, ready to be sent.
pub(crate) struct Piece {
    /// The body.
    pub(crate) xml: String,
    token: Token,
}

impl Piece {
    /// Says in an answer's head that it is a piece, and how to get the next.
    pub(crate) fn announce(&self, headers: &mut HeaderMap) {
        headers.insert(PAGINATE, HeaderValue::from_static("true"));
        headers.insert(TOTAL, HeaderValue::from(self.token.total));
        if let Ok(token) = HeaderValue::try_from(self.token.write()) {
            headers.insert(TOKEN, token);
        }
    }
}

/// Reads one piece of a folder's listing; `None`: only the whole can be answered with.
pub(super) async fn piece(
    dav: &Dav,
    asked: &Asked,
    wanted: &PieceAsked,
    selection: &Selection,
) -> Result<Option<Piece>, DavError> {
    let (files, caller, path) = (&dav.files, &asked.caller, &asked.request.path);
    let listing = files
        .list(caller, path, selection.wants(caller), false)
        .await?;
    if !listing.entry.node.is_folder() {
        return Ok(None);
    }
    let Some((total, place)) = begin(&listing, wanted).await? else {
        return Ok(None);
    };
    let facts = Facts {
        quota: listing.quota,
        ..Facts::of(
            dav,
            caller,
            asked.place(),
            (listing.rights.clone(), listing.owner.clone()),
        )
    };
    let mut href = asked.mount.href(path, true);
    let mut xml = String::with_capacity(ENTRY_BYTES * wanted.count);
    xml.push_str(MULTISTATUS);
    let mut written = 0;
    if wanted.offset == 0 {
        selection.write(&mut xml, &href, &listing.entry, &facts);
        written = 1;
    }
    let (entries, place) = listing.slice(place, wanted.count - written).await?;
    let href_length = href.len();
    for entry in &entries {
        push_segment(&mut href, &entry.node.name);
        if entry.node.is_folder() {
            href.push('/');
        }
        selection.write(&mut xml, &href, entry, &facts);
        href.truncate(href_length);
    }
    xml.push_str(MULTISTATUS_END);
    written += entries.len();
    Ok(Some(Piece {
        xml,
        token: Token {
            folder: listing.entry.node.id.0,
            total,
            offset: wanted.offset.saturating_add(written as u64),
            place,
            etag: listing.entry.etag(),
        },
    }))
}

/// Returns how many entries there are in all, and where the piece begins among the children.
async fn begin(
    listing: &Listing,
    wanted: &PieceAsked,
) -> Result<Option<(u64, ListingPlace)>, DavError> {
    let first = ListingPlace::Child(NodeId(0));
    let Some(token) = &wanted.token else {
        return Ok(Some((listing.count().await? + 1, first)));
    };
    if token.folder != listing.entry.node.id.0 {
        return Ok(None);
    }
    if wanted.offset == token.offset {
        return Ok(Some((token.total, token.place)));
    }
    if token.etag != listing.entry.etag() {
        return Ok(None);
    }
    let place = match wanted.offset.checked_sub(1) {
        Some(skipped) => listing.place_behind(skipped).await?,
        None => first,
    };
    Ok(Some((token.total, place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&str, &str)]) -> Option<PieceAsked> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        PieceAsked::parse(&map)
    }

    #[test]
    fn a_token_says_where_to_go_on() {
        for place in [ListingPlace::Child(NodeId(77)), ListingPlace::Mount(3)] {
            let token = Token {
                folder: 5,
                total: 1_001,
                offset: 100,
                place,
                etag: "5-1-2a-beef".to_owned(),
            };
            let text = token.write();
            assert_eq!(Token::parse(&text), Some(token.clone()));
            let next = asked(&[("x-nc-paginate", "true"), ("x-nc-paginate-token", &text)]);
            let next = next.unwrap();
            assert_eq!((next.offset, next.count), (100, COUNT_DEFAULT));
            assert_eq!(next.token, Some(token));
        }
    }

    #[test]
    fn what_is_not_understood_asks_for_the_whole() {
        let on = ("x-nc-paginate", "TRUE");
        let token = ("x-nc-paginate-token", "5.10.3.c9.5-1-2a");
        assert!(asked(&[on]).is_some());
        assert!(asked(&[on, token, ("x-nc-paginate-offset", "6")]).is_some());
        for headers in [
            &[][..],
            &[("x-nc-paginate", "false")],
            &[on, ("x-nc-paginate-count", "0")],
            &[on, ("x-nc-paginate-count", "1001")],
            &[on, ("x-nc-paginate-count", "-1")],
            &[on, ("x-nc-paginate-offset", "5")],
            &[on, token, ("x-nc-paginate-offset", "many")],
            &[on, ("x-nc-paginate-token", "")],
            &[on, ("x-nc-paginate-token", "5.10.3.c.5-1-2a")],
            &[on, ("x-nc-paginate-token", "5.10.3.é9.5-1-2a")],
            &[on, ("x-nc-paginate-token", "5.10.-3.c9.5-1-2a")],
            &[on, ("x-nc-paginate-token", "5.10.3.c9")],
        ] {
            assert_eq!(asked(headers), None, "{headers:?}");
        }
    }
}
