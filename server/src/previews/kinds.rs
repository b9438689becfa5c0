//! Which files have a preview: by their names, and by the programs that this machine has.

use std::path::Path;
use std::path::PathBuf;

/// What a preview is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A picture that the server's own worker decodes.
    Picture,
    /// A PDF, of which `pdftoppm` paints the first page.
    Pdf,
    /// A film, of which `ffmpeg` takes a picture.
    Film,
}

impl Kind {
    /// Returns its letter in the names of kept previews.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Picture => 'i',
            Self::Pdf => 'p',
            Self::Film => 'f',
        }
    }
}

const PICTURES: [&str; 10] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "gif", "webp", "bmp", "tif", "tiff",
];
const FILMS: [&str; 14] = [
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "ogv", "flv", "wmv", "3gp",
    "mts",
];
/// Where programs of the system are; a folder that people can write to is never asked.
const FOLDERS: [&str; 3] = ["/usr/bin", "/usr/local/bin", "/bin"];

/// Which files have a preview on this server.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    has_pictures: bool,
    pub(crate) pdftoppm: Option<PathBuf>,
    pub(crate) ffmpeg: Option<PathBuf>,
}

impl Kinds {
    /// No file has one.
    pub fn none() -> Self {
        Self::default()
    }

    /// Looks which programs are there, and says so in the log. Blocks.
    pub fn find() -> Self {
        let find = |name: &str| {
            let places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
            let found = places.into_iter().find(|path| path.is_file());
            let path = found.as_ref().map(|path| path.display().to_string());
            tracing::info!(
                path = path.as_deref().unwrap_or("none"),
                "{name} for previews"
            );
            found
        };
        Self {
            has_pictures: true,
            pdftoppm: find("pdftoppm"),
            ffmpeg: find("ffmpeg"),
        }
    }

    /// Returns whether a file of this name may have a preview.
    pub fn may_have(&self, name: &str) -> bool {
        self.of(name).is_some()
    }

    /// Returns what the preview of a file of this name is made from.
    pub(crate) fn of(&self, name: &str) -> Option<Kind> {
        let (_, extension) = name.rsplit_once('.')?;
        let is = |known: &&str| known.eq_ignore_ascii_case(extension);
        if PICTURES.iter().any(is) {
            self.has_pictures.then_some(Kind::Picture)
        } else if "pdf".eq_ignore_ascii_case(extension) {
            self.pdftoppm.as_ref().map(|_| Kind::Pdf)
        } else if FILMS.iter().any(is) {
            self.ffmpeg.as_ref().map(|_| Kind::Film)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use super::Kinds;

    #[test]
    fn what_needs_a_program_has_no_preview_without_it() {
        let mut kinds = Kinds {
            has_pictures: true,
            ..Kinds::none()
        };
        assert_eq!(kinds.of("a.b.JPG"), Some(Kind::Picture));
        assert_eq!(kinds.of("a.pdf"), None);
        assert_eq!(kinds.of("a.mp4"), None);
        kinds.ffmpeg = Some("/usr/bin/ffmpeg".into());
        assert_eq!(kinds.of("a.mp4"), Some(Kind::Film));
        for name in ["jpg", "a.svg", "a.jpg.exe", "", "a.", "a.txt"] {
            assert!(!kinds.may_have(name), "{name}");
        }
        assert!(!Kinds::none().may_have("a.jpg"));
    }
}
