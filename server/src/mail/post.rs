//! The way to a server of mail (SMTP, RFC 5321): one connection for each letter.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Address;
use lettre::AsyncSmtpTransport;
use lettre::AsyncTransport;
use lettre::Message;
use lettre::Tokio1Executor;
use lettre::address::AddressError;
use lettre::message::Mailbox;
use lettre::message::MultiPart;
use lettre::message::SinglePart;
use lettre::message::header::HeaderName;
use lettre::message::header::HeaderValue;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Certificate;
use lettre::transport::smtp::client::CertificateStore;
use lettre::transport::smtp::client::Tls;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;

use crate::clock::Timestamp;
use crate::mail::letters::one_line;
use crate::mail::sender::Sender;
use crate::store::metadata::mail::NewLetter;

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all: to a server on the same machine or network.
    None,
    /// From the beginning of the talk on (STARTTLS, RFC 3207); a server that cannot is refused.
    StartTls,
    /// From the first byte on.
    Tls,
}

impl Encryption {
    /// Returns the port that servers usually listen on for it.
    fn port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// A password that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes a text; line breaks at its end do not belong to it.
    pub fn new(text: &str) -> Self {
        Self(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Who this server is to the server of mail.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub user: String,
    /// Its password.
    pub password: Password,
}

/// Which server of mail is used, and how.
#[derive(Debug, Clone)]
pub struct PostSettings {
    /// Its name or address.
    pub host: String,
    /// Its port; 0: the usual one.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub encryption: Encryption,
    /// Who we are, if it asks.
    pub login: Option<Login>,
    /// Certificates, in PEM, that may vouch for it; `None`: those that the system trusts.
    pub root_certificates: Option<PathBuf>,
    /// Who letters come from.
    pub sender: Sender,
    /// How long an answer of the server may take.
    pub timeout: Duration,
}

/// Why a letter was not sent.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The recipient is no address.
    #[error("the address is none")]
    Address(#[source] AddressError),
    /// The letter has no form that can be sent.
    #[error("the letter cannot be written")]
    Form(#[source] lettre::error::Error),
    /// The certificates cannot be read.
    #[error("{path}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The server of mail cannot be reached or does not want it.
    #[error(transparent)]
    Server(#[from] smtp::Error),
}

impl PostError {
    /// Returns whether another try is of no use: this letter is refused, not us, and not only for now.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Address(_) | Self::Form(_) => true,
            Self::Certificates { .. } => false,
            Self::Server(error) => {
                let code = error.status().map(u16::from);
                // Those below say that a server does not know a command; those about 530 that we may not sign in.
                error.is_permanent() && code.is_some_and(|code| matches!(code, 510..=520 | 540..))
            }
        }
    }

    /// Returns whether no server answered, or not with a word about this letter.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Address(_) | Self::Form(_) => false,
            Self::Certificates { .. } => true,
            Self::Server(error) => match error.status().map(u16::from) {
                None => true,
                // It shuts down, or does not let us in.
                Some(code) => matches!(code, 421 | 454 | 500..=509 | 521..=539),
            },
        }
    }

    /// Says what failed and why, as far as is known.
    pub fn reason(&self) -> String {
        let mut reason = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !reason.contains(&text) {
                reason = format!("{reason}: {text}");
            }
            cause = error.source();
        }
        one_line(&reason)
    }
}

/// The way to a server of mail; nothing is connected between letters.
pub struct Post {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Sender,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

impl Post {
    /// Prepares the way; fails where certificates cannot be read. Blocks for a moment.
    pub fn open(settings: &PostSettings) -> Result<Self, PostError> {
        let host = settings.host.as_str();
        let tls = match settings.encryption {
            Encryption::None => Tls::None,
            Encryption::StartTls => Tls::Required(tls_parameters(settings)?),
            Encryption::Tls => Tls::Wrapper(tls_parameters(settings)?),
        };
        let port = match settings.port {
            0 => settings.encryption.port(),
            chosen => chosen,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls)
            .timeout(Some(settings.timeout))
            .hello_name(ClientId::Domain(settings.sender.domain().to_owned()));
        if let Some(login) = &settings.login {
            let Password(password) = login.password.clone();
            builder = builder.credentials(Credentials::new(login.user.clone(), password));
        }
        Ok(Self {
            transport: builder.build(),
            sender: settings.sender.clone(),
        })
    }

    /// Sends a letter; when this returns `Ok`, the server of mail has taken it.
    ///
    /// `id` makes its Message-ID, together with the domain of the sender.
    pub async fn send(
        &self,
        letter: &NewLetter,
        id: &str,
        now: Timestamp,
    ) -> Result<(), PostError> {
        let message = self.write(letter, id, now)?;
        self.transport.send(message).await?;
        Ok(())
    }

    /// Gives a letter its form (RFC 5322).
    fn write(&self, letter: &NewLetter, id: &str, now: Timestamp) -> Result<Message, PostError> {
        let recipient: Address = letter.recipient.parse().map_err(PostError::Address)?;
        // RFC 3834: nobody's holiday notice shall answer it.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let builder = Message::builder()
            .from(self.sender.mailbox())
            .to(Mailbox::new(None, recipient))
            .subject(one_line(&letter.subject))
            .date(now.system_time())
            .message_id(Some(format!("<{id}@{}>", self.sender.domain())))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        let text = letter.body.clone();
        let written = match letter.html.clone() {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
            None => builder.singlepart(SinglePart::plain(text)),
        };
        written.map_err(PostError::Form)
    }
}

fn tls_parameters(settings: &PostSettings) -> Result<TlsParameters, PostError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.root_certificates {
        let pem = std::fs::read(path).map_err(|source| PostError::Certificates {
            path: path.clone(),
            source,
        })?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(&pem)?);
    }
    Ok(builder.build_rustls()?)
}

#[cfg(test)]
mod tests {
    use super::Encryption;
    use super::Login;
    use super::NewLetter;
    use super::Password;
    use super::Post;
    use super::PostSettings;
    use crate::clock::Timestamp;

    fn post() -> Post {
        Post::open(&PostSettings {
            host: "127.0.0.1".to_owned(),
            port: 1,
            encryption: Encryption::None,
            login: None,
            root_certificates: None,
            sender: "Nuage <cloud@example.org>".parse().unwrap(),
            timeout: std::time::Duration::from_secs(1),
        })
        .unwrap()
    }

    fn letter(recipient: &str, subject: &str, html: Option<&str>) -> NewLetter {
        NewLetter {
            recipient: recipient.to_owned(),
            subject: subject.to_owned(),
            body: "été\n.\nTo: x@example.org\n".to_owned(),
            html: html.map(ToOwned::to_owned),
        }
    }

    fn head(letter: &NewLetter) -> String {
        let message = post().write(letter, "nuage.1", Timestamp::from_seconds(0));
        let whole = String::from_utf8(message.unwrap().formatted()).unwrap();
        whole.split_once("\r\n\r\n").unwrap().0.to_owned()
    }

    #[test]
    fn no_subject_begins_a_line_of_the_head() {
        for subject in [
            "a\r\nBcc: x@example.org",
            "a\nBcc: x@example.org",
            "a\rBcc: x@example.org",
            "é\r\n\r\nBcc: x@example.org",
            "a\u{2028}Bcc: x@example.org",
            "a\u{0}\u{b}\u{85}Bcc: x@example.org",
        ] {
            let head = head(&letter("zoe@example.org", subject, None));
            let begin_alike = |line: &str| line.to_ascii_lowercase().starts_with("bcc");
            assert!(!head.lines().any(begin_alike), "{head}");
            assert_eq!(head.matches("Subject:").count(), 1);
            assert!(head.contains("Message-ID: <nuage.1@example.org>"), "{head}");
            assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_for_good() {
        for recipient in [
            "",
            "zoe",
            "zoe@example.org\r\nBcc: x@example.org",
            "zoe@example.org, x@example.org",
            "<zoe@example.org>",
            "zoe @example.org",
        ] {
            let letter = letter(recipient, "s", None);
            let refused = post().write(&letter, "1", Timestamp(0)).unwrap_err();
            assert!(refused.is_final() && !refused.is_away(), "{recipient}");
        }
    }

    #[test]
    fn html_goes_beside_the_text() {
        let head = head(&letter("zoe@example.org", "s", Some("<p>été</p>")));
        assert!(head.contains("multipart/alternative"), "{head}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = Login {
            user: "u".to_owned(),
            password: Password::new("geheim\n"),
        };
        assert_eq!(login.password, Password::new("geheim"));
        assert!(!format!("{login:?}").contains("geheim"));
    }
}
