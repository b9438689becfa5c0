//! Which part of a picture a preview shows, and how large.
//!
//! Clients ask for dozens of sizes. The longer side is rounded up to a power of two and the other one with it, so that few
//! different pictures are made. Nothing is ever made larger than it is.

use std::fmt;
use std::str::FromStr;

use image::DynamicImage;

/// The longest side of the largest preview.
pub(super) const SIDE_MAX: u32 = 1_024;
/// The longest side of the smallest preview.
const SIDE_MIN: u32 = 64;
/// A side is at least so many times shorter than the other.
const RATIO_MAX: u32 = 16;

/// How a preview fills the two sides that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fit {
    /// The whole picture, as large as fits between them.
    Within,
    /// The whole picture, so large that it reaches both.
    Cover,
    /// The middle of the picture, in the proportion of the sides.
    Middle,
}

impl Fit {
    const WORDS: [(Self, &str); 3] = [
        (Self::Within, "within"),
        (Self::Cover, "cover"),
        (Self::Middle, "middle"),
    ];
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(fit, _)| fit == self);
        f.write_str(word.map_or("", |(_, word)| word))
    }
}

/// A word that is no way to fill.
#[derive(Debug, thiserror::Error)]
#[error("one of within, cover, middle is expected")]
pub struct UnknownFit;

impl FromStr for Fit {
    type Err = UnknownFit;

    fn from_str(text: &str) -> Result<Self, UnknownFit> {
        let found = Self::WORDS.iter().find(|(_, word)| *word == text);
        found.map(|(fit, _)| *fit).ok_or(UnknownFit)
    }
}

/// What a preview is made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// How wide, in pixels.
    pub width: u32,
    /// How high, in pixels.
    pub height: u32,
    /// How the picture fills that.
    pub fit: Fit,
}

impl Shape {
    /// Returns the shape that serves somebody who asks for these sides.
    pub fn new(width: u32, height: u32, fit: Fit) -> Self {
        let asked = width.max(height).max(1);
        let side = asked.clamp(SIDE_MIN, SIDE_MAX).next_power_of_two();
        let rounded = |length: u32| {
            let length = (u64::from(length) * u64::from(side)).div_ceil(u64::from(asked));
            narrow(length).max(side / RATIO_MAX)
        };
        Self {
            width: rounded(width),
            height: rounded(height),
            fit,
        }
    }

    /// The shape from which all others are made.
    pub(super) fn largest() -> Self {
        Self::new(SIDE_MAX, SIDE_MAX, Fit::Within)
    }

    /// Returns it for a picture that is stored on its side.
    pub(super) fn turned(self) -> Self {
        Self {
            width: self.height,
            height: self.width,
            fit: self.fit,
        }
    }

    /// Makes a picture smaller.
    pub(super) fn of(self, picture: DynamicImage) -> DynamicImage {
        let (width, height) = (picture.width(), picture.height());
        match self.fit {
            Fit::Within if width > self.width || height > self.height => {
                picture.thumbnail(self.width, self.height)
            }
            Fit::Within => picture,
            Fit::Cover => {
                let (wide, high) = self.covering(width, height);
                if (wide, high) == (width, height) {
                    return picture;
                }
                picture.thumbnail_exact(wide, high)
            }
            Fit::Middle => {
                let (wide, high) = self.middle_of(width, height);
                let (left, top) = ((width - wide) / 2, (height - high) / 2);
                let middle = picture.crop_imm(left, top, wide, high);
                if wide > self.width || high > self.height {
                    return middle.thumbnail_exact(self.width, self.height);
                }
                middle
            }
        }
    }

    /// Returns the smallest sides in a picture's proportion that reach both of the shape; no larger than its own.
    fn covering(self, width: u32, height: u32) -> (u32, u32) {
        if self.width >= width || self.height >= height {
            return (width, height);
        }
        if is_wider((self.width, self.height), (width, height)) {
            (self.width, part(height, self.width, width))
        } else {
            (part(width, self.height, height), self.height)
        }
    }

    /// Returns the largest sides within a picture that have the shape's proportion.
    fn middle_of(self, width: u32, height: u32) -> (u32, u32) {
        if is_wider((width, height), (self.width, self.height)) {
            (part(height, self.width, self.height).min(width), height)
        } else {
            (width, part(width, self.height, self.width).min(height))
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, fit } = self;
        match fit {
            Fit::Within if width == height => write!(f, "{width}"),
            _ => write!(f, "{width}x{height}-{fit}"),
        }
    }
}

/// Returns whether the first sides are, for their height, wider than the second.
fn is_wider(first: (u32, u32), second: (u32, u32)) -> bool {
    u64::from(first.0) * u64::from(second.1) > u64::from(second.0) * u64::from(first.1)
}

/// Returns `length * of / whole`, rounded, at least 1.
fn part(length: u32, of: u32, whole: u32) -> u32 {
    let (length, of, whole) = (u64::from(length), u64::from(of), u64::from(whole.max(1)));
    narrow((length * of + whole / 2) / whole).max(1)
}

fn narrow(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(shape: Shape, width: u32, height: u32) -> (u32, u32) {
        let made = shape.of(DynamicImage::new_luma8(width, height));
        (made.width(), made.height())
    }

    #[test]
    fn few_sizes_serve_all_that_are_asked_for() {
        for (asked, text) in [
            ((32, 32, Fit::Within), "64"),
            ((200, 200, Fit::Within), "256"),
            ((5_000, 5_000, Fit::Within), "1024"),
            ((50, 10, Fit::Cover), "64x13-cover"),
            ((300, 200, Fit::Middle), "512x342-middle"),
            ((0, 0, Fit::Middle), "64x64-middle"),
            ((u32::MAX, 1, Fit::Within), "1024x64-within"),
        ] {
            let (width, height, fit) = asked;
            let shape = Shape::new(width, height, fit);
            if asked.0 > 0 {
                assert_eq!(shape.to_string(), text, "{asked:?}");
            }
            assert_eq!(fit.to_string().parse::<Fit>().unwrap(), fit);
        }
        assert!("upright".parse::<Fit>().is_err());
    }

    #[test]
    fn a_picture_fills_its_shape_in_three_ways_and_never_grows() {
        let shape = |fit| Shape::new(256, 128, fit);
        for (picture, within, cover, middle) in [
            ((1_000, 1_000), (128, 128), (256, 256), (256, 128)),
            ((2_000, 100), (256, 13), (2_000, 100), (200, 100)),
            ((4_000, 400), (256, 26), (1_280, 128), (256, 128)),
            ((100, 2_000), (6, 128), (100, 2_000), (100, 50)),
            ((20, 10), (20, 10), (20, 10), (20, 10)),
            ((20, 20), (20, 20), (20, 20), (20, 10)),
            ((1, 1), (1, 1), (1, 1), (1, 1)),
        ] {
            let (width, height) = picture;
            let made =
                [Fit::Within, Fit::Cover, Fit::Middle].map(|fit| sides(shape(fit), width, height));
            assert_eq!(made, [within, cover, middle], "{picture:?}");
        }
    }
}
