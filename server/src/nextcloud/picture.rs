//! Pictures that are made, not stored: of people, and the installation's sign.
//!
//! A person's picture is a symmetric pattern in a colour, both drawn from a hash of the name. It is
//! the same for whoever exists and whoever does not, so it tells nobody anything.

use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use serde_json::json;

use crate::http::body::Body;
use crate::http::body::empty;
use crate::http::body::full;
use crate::identity::names::AccountName;
use crate::nextcloud::NextcloudSettings;
use crate::nextcloud::json_answer;
use crate::nextcloud::nothing;

/// Cells of a pattern from edge to edge; with a margin of one cell on each side.
const CELLS: usize = 5;
const SIZES: std::ops::RangeInclusive<u32> = 16..=1024;
const A_DAY: &str = "private, max-age=86400";

/// Answers with somebody's picture: a square PNG of about the size that is asked for.
pub(super) fn avatar(headers: &HeaderMap, name: &str, size: &str) -> Response<Body> {
    let Ok(size) = size.trim_end_matches(".png").parse::<u32>() else {
        return nothing();
    };
    let size = size.clamp(*SIZES.start(), *SIZES.end());
    let fold = AccountName::parse(name).map_or_else(|_| name.into(), |name| name.fold().to_owned());
    let hash = blake3::hash(fold.as_bytes());
    let short = hash.to_hex();
    let tag = format!("\"{}-{size}\"", short.get(..16).unwrap_or_default());
    let known = headers.get(header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let Some(png) = pattern(hash.as_bytes(), size) else {
            return nothing();
        };
        Response::new(full(png))
    };
    let set = response.headers_mut();
    set.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
    set.insert(header::CACHE_CONTROL, HeaderValue::from_static(A_DAY));
    set.insert("x-nc-iscustomavatar", HeaderValue::from_static("0"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        set.insert(header::ETAG, tag);
    }
    response
}

/// Draws the pattern of a hash as PNG, one bit for each pixel.
fn pattern(hash: &[u8; 32], size: u32) -> Option<Vec<u8>> {
    let [red, green, blue, rest @ ..] = hash;
    // Never so light that white shows no more, never so dark that it is black.
    let tone = |byte: &u8| 40 + byte % 120;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size, size);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_palette(vec![0xf0, 0xf2, 0xf5, tone(red), tone(green), tone(blue)]);
    let mut writer = encoder.write_header().ok()?;
    let pixels = draw(rest, usize::try_from(size).ok()?);
    writer.write_image_data(&pixels).ok()?;
    writer.finish().ok()?;
    Some(file)
}

/// Fills rows of bits, each row beginning with a byte of its own.
fn draw(bytes: &[u8], size: usize) -> Vec<u8> {
    let cell_of = |pixel: usize| (pixel * (CELLS + 2) / size).checked_sub(1);
    let is_filled = |row: usize, column: usize| {
        let mirrored = column.min(CELLS - 1 - column);
        bytes
            .get(row * CELLS.div_ceil(2) + mirrored)
            .is_some_and(|byte| byte & 1 == 1)
    };
    let mut pixels = Vec::with_capacity(size.div_ceil(8) * size);
    for y in 0..size {
        let row = cell_of(y).filter(|row| *row < CELLS);
        for first in (0..size).step_by(8) {
            let bits = (first..first + 8).fold(0_u8, |bits, x| {
                let column = cell_of(x).filter(|column| *column < CELLS);
                let is_on =
                    matches!((row, column), (Some(row), Some(column)) if is_filled(row, column));
                bits << 1 | u8::from(is_on)
            });
            pixels.push(bits);
        }
    }
    pixels
}

/// The sign of the installation, for clients that show one.
pub(super) fn theme_file(
    settings: &NextcloudSettings,
    base_url: &str,
    segments: &[&str],
) -> Response<Body> {
    match segments {
        ["image", "logo" | "logoheader" | "favicon"] | ["icon" | "favicon", ..] => {
            sign(&settings.theme.color)
        }
        ["manifest", ..] => {
            let theme = &settings.theme;
            json_answer(
                StatusCode::OK,
                &json!({
                    "name": theme.name,
                    "short_name": theme.name,
                    "start_url": base_url,
                    "theme_color": theme.color,
                    "background_color": theme.color,
                    "display": "standalone",
                    "icons": [{
                        "src": format!("{base_url}/apps/theming/image/logo"),
                        "type": "image/svg+xml",
                        "sizes": "any",
                    }],
                }),
            )
        }
        _ => nothing(),
    }
}

fn sign(color: &str) -> Response<Body> {
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\" width=\"256\" height=\"256\">\
         <path fill=\"{color}\" d=\"M18 50a13 13 0 0 1-1.6-25.9A18 18 0 0 1 51 28.3 11 11 0 0 1 50 50z\"/></svg>"
    );
    let mut response = Response::new(full(svg));
    let headers = response.headers_mut();
    let mut set = |name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_TYPE, "image/svg+xml");
    set(header::CACHE_CONTROL, "public, max-age=3600");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'");
    response
}

#[cfg(test)]
mod tests {
    use super::CELLS;
    use super::draw;
    use super::pattern;

    #[test]
    fn a_pattern_is_symmetric_and_has_a_margin() {
        let size = (CELLS + 2) * 8;
        let bytes: Vec<u8> = (0..29).map(|number| number * 7 % 5).collect();
        let pixels = draw(&bytes, size);
        let at = |x: usize, y: usize| pixels[y * size / 8 + x / 8] >> (7 - x % 8) & 1;
        for y in 0..size {
            for x in 0..size {
                assert_eq!(at(x, y), at(size - 1 - x, y), "{x} {y}");
            }
            assert_eq!((at(0, y), at(y, 0)), (0, 0));
        }
        assert!(pixels.iter().any(|byte| *byte != 0));
    }

    #[test]
    fn a_picture_of_any_size_is_a_png_that_reads_back() {
        for size in [16, 17, 64, 511, 1024] {
            let file = pattern(blake3::hash(b"zoe").as_bytes(), size).unwrap();
            let decoder = png::Decoder::new(std::io::Cursor::new(file));
            let mut reader = decoder.read_info().unwrap();
            assert_eq!((reader.info().width, reader.info().height), (size, size));
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
        }
    }
}
