//! The table of permissions: every caller, every operation, every protocol, and what the rules say of it.
//!
//! What is expected is computed from what a caller was given, by the few lines of [`Caller::expects`], and never
//! from what the server says. Each cell that changes something does so in a folder of its own; where it must not, the folder
//! is compared before and after. No answer of a refusal holds a byte of what is refused. All cells that differ are printed
//! together.

#![expect(
    clippy::match_same_arms,
    reason = "the rules stand one below the other, each with its reason"
)]

use std::fmt;
use std::fmt::Write as _;
use std::io::Cursor;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use nuage_tests::http::basic;
use nuage_tests::user::encode;

use crate::sharing::ALL;
use crate::sharing::call;
use crate::sharing::data;
use crate::sharing::give;
use crate::sharing::give_group;
use crate::sharing::today;

/// What is in the file of every folder.
const CONTENT: &str = "what nobody else may see, 7d1f";
const FORMER: &str = "what it was before, 7d1f";
/// What no answer of a refusal may hold.
const TRACE: &str = "7d1f";

const READ: u8 = 1;
const UPDATE: u8 = 2;
const CREATE: u8 = 4;
const DELETE: u8 = 8;
const SHARE: u8 = 16;

/// What a caller has of the folder.
#[derive(Debug, Clone, Copy)]
struct Right {
    /// The sum of what may be done.
    may: u8,
    /// Whether contents may leave the server as they are.
    download: bool,
}

const fn right(may: u8) -> Right {
    Right {
        may,
        download: true,
    }
}

/// How a caller stands to the folder.
#[derive(Debug, Clone, Copy)]
enum Standing {
    /// Has this right, and may act.
    Has(Right),
    /// Has this right, with an app password that reads.
    Reads(Right),
    /// Has an account, and nothing else.
    Stranger,
    /// Is not let in.
    Nobody,
    /// Has a link that opens no more.
    Ended,
    /// Has a link, without its password.
    WrongPassword,
}

/// By what a caller comes.
enum Door {
    /// An account, at whose path the folder is.
    Account { user: User, at: String },
    /// A link to the folder.
    Link { token: String, password: String },
}

struct Caller {
    what: &'static str,
    standing: Standing,
    door: Door,
    /// Whoever makes the folders of the cells, and where for them.
    maker: User,
    made_at: String,
    /// The same account with its password.
    owner_of_home: Option<User>,
}

/// How a request gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Remote,
    Webdav,
    Short,
    /// At the home of whoever owns the folder.
    OthersHome,
    Public,
    OldPublic,
    Page,
    Ocs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    List,
    Stat,
    Read,
    Range,
    Zip,
    Checksum,
    Overwrite,
    Create,
    Mkdir,
    Delete,
    DeleteFolder,
    Rename,
    MoveWithin,
    MoveOnto,
    MoveIn,
    MoveOut,
    CopyIn,
    CopyOut,
    Lock,
    Proppatch,
    Favorite,
    Parts,
    Versions,
    ReadVersion,
    RestoreVersion,
    TrashRestore,
    TrashOfOther,
    Preview,
    Search,
    Shares,
    Share,
    Widen,
    Link,
    EndOther,
    // Of pages.
    Page,
    Send,
}

const DAV: &[Op] = &[
    Op::List,
    Op::Stat,
    Op::Read,
    Op::Range,
    Op::Zip,
    Op::Checksum,
    Op::Overwrite,
    Op::Create,
    Op::Mkdir,
    Op::Delete,
    Op::DeleteFolder,
    Op::Rename,
    Op::MoveWithin,
    Op::MoveOnto,
    Op::Lock,
    Op::Proppatch,
];
/// What only those who have a home can do.
const HOME: &[Op] = &[
    Op::MoveIn,
    Op::MoveOut,
    Op::CopyIn,
    Op::CopyOut,
    Op::Favorite,
];
const BESIDE: &[Op] = &[
    Op::Parts,
    Op::Versions,
    Op::ReadVersion,
    Op::RestoreVersion,
    Op::TrashRestore,
    Op::TrashOfOther,
    Op::Preview,
    Op::Search,
];
const OCS: &[Op] = &[Op::Shares, Op::Share, Op::Widen, Op::Link, Op::EndOther];
const PAGES: &[Op] = &[Op::Page, Op::Read, Op::Range, Op::Zip, Op::Send];

/// What an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// It happens.
    Done,
    /// 403: the caller sees it, and may not do this.
    Forbidden,
    /// 404, or 409 for what would be made there: the caller cannot tell it from nothing.
    Hidden,
    /// 401, or 429 after many attempts.
    SignIn,
    /// 405: this is not done here.
    NotHere,
    /// A page that asks for a password.
    Asked,
    /// It is not a question.
    Skip,
}

impl Expected {
    fn is_met_by(self, status: u16) -> bool {
        match self {
            Self::Done => (200..300).contains(&status),
            Self::Forbidden => status == 403,
            Self::Hidden => status == 404 || status == 409,
            Self::SignIn => status == 401 || status == 429,
            Self::NotHere => status == 405,
            Self::Asked => status == 200,
            Self::Skip => true,
        }
    }
}

impl Op {
    /// What the rules ask for, all of it, and whether contents leave.
    fn needs(self) -> (u8, bool) {
        match self {
            Self::List | Self::Stat | Self::Checksum | Self::Favorite | Self::Shares => {
                (READ, false)
            }
            Self::Page | Self::Search => (READ, false),
            Self::Read | Self::Range | Self::Zip | Self::CopyOut => (READ, true),
            // A preview is made of a file that its caller opens.
            Self::Versions | Self::ReadVersion | Self::Preview => (READ, true),
            Self::Overwrite | Self::Lock | Self::Proppatch | Self::Rename => (UPDATE, false),
            Self::RestoreVersion => (READ | UPDATE, true),
            Self::Create | Self::Mkdir | Self::MoveIn | Self::CopyIn | Self::Parts | Self::Send => {
                (CREATE, false)
            }
            Self::Delete | Self::DeleteFolder => (DELETE, false),
            Self::MoveWithin => (CREATE | DELETE, false),
            // One file less, and another with new content.
            Self::MoveOnto => (UPDATE | DELETE, false),
            Self::MoveOut => (DELETE, true),
            Self::Share | Self::Link => (READ | SHARE, false),
            Self::Widen => (ALL, false),
            // What was deleted comes back for whoever owns it, and shares end for them.
            Self::TrashRestore | Self::TrashOfOther | Self::EndOther => (0, false),
        }
    }

    fn changes(self) -> bool {
        !matches!(
            self,
            Self::List
                | Self::Stat
                | Self::Read
                | Self::Range
                | Self::Zip
                | Self::Checksum
                | Self::CopyOut
                | Self::Versions
                | Self::ReadVersion
                | Self::Preview
                | Self::Search
                | Self::Shares
                | Self::Page
                | Self::Favorite
        )
    }
}

impl Caller {
    /// Whether the caller owns the folder, or manages the group that does, and so ends what others share of it.
    fn is_master(&self) -> bool {
        matches!(&self.door, Door::Account { user, .. } if user.name == self.maker.name)
    }

    fn is_owner(&self) -> bool {
        matches!(&self.door, Door::Account { user, .. } if user.name == "ann")
    }

    /// What the rules say of a cell.
    fn expects(&self, op: Op, way: Way) -> Expected {
        if way == Way::OthersHome {
            return match self.standing {
                Standing::Nobody => Expected::SignIn,
                _ => Expected::Hidden,
            };
        }
        let (right, reads_only) = match self.standing {
            Standing::Has(right) => (right, false),
            Standing::Reads(right) => (right, true),
            Standing::Nobody => return Expected::SignIn,
            Standing::WrongPassword if way == Way::Ocs => return Expected::SignIn,
            Standing::WrongPassword if way != Way::Page => return Expected::SignIn,
            Standing::WrongPassword => return Expected::Asked,
            Standing::Ended if way == Way::Ocs => return Expected::SignIn,
            Standing::Ended => return Expected::Hidden,
            // Of another group, whoever has files of their own finds those.
            Standing::Stranger if op == Op::Search && self.is_owner() => return Expected::Skip,
            Standing::Stranger => return Expected::Hidden,
        };
        match &self.door {
            Door::Link { .. } if way == Way::Ocs => Expected::SignIn,
            Door::Link { .. } => Self::of_link(right, op, way),
            Door::Account { .. } => self.of_account(right, reads_only, op),
        }
    }

    fn of_link(right: Right, op: Op, way: Way) -> Expected {
        let is_drop = right.may == CREATE;
        match (op, way) {
            (Op::Send, _) if is_drop => Expected::Done,
            (Op::Send, _) => Expected::NotHere,
            (Op::Page, _) => Expected::Done,
            // Another name is made of one that is taken.
            (Op::Create | Op::Overwrite, _) if is_drop => Expected::Done,
            // Not even that there is something.
            (_, Way::Page) if is_drop => Expected::Hidden,
            (_, _) if is_drop => Expected::NotHere,
            _ => Self::by_right(right, op),
        }
    }

    fn of_account(&self, right: Right, reads_only: bool, op: Op) -> Expected {
        let is_owner = self.is_owner();
        match op {
            Op::TrashRestore if reads_only => Expected::Forbidden,
            Op::TrashRestore if is_owner => Expected::Done,
            // Not in the trash of whoever does not own it.
            Op::TrashRestore | Op::TrashOfOther => Expected::Hidden,
            // The share is the owner's to end.
            Op::EndOther if self.is_master() && !reads_only => Expected::Done,
            Op::EndOther if right.may & SHARE != 0 || reads_only => Expected::Forbidden,
            Op::EndOther => Expected::Hidden,
            // Shares are not for programs that only read.
            Op::Shares if reads_only => Expected::Forbidden,
            // Below what somebody was given, only names of one's own home are searched.
            Op::Search if !is_owner => Expected::Skip,
            _ if reads_only && (op.changes() || op == Op::Favorite) => Expected::Forbidden,
            // A copy lands in the caller's home, which such a password does not change.
            Op::CopyOut if reads_only => Expected::Forbidden,
            _ => Self::by_right(right, op),
        }
    }

    fn by_right(right: Right, op: Op) -> Expected {
        let (needed, leaves) = op.needs();
        let is_allowed = right.may & needed == needed && (right.download || !leaves);
        if is_allowed {
            return Expected::Done;
        }
        match op {
            // These are asked for by number: what may not be read is not there.
            Op::Versions | Op::ReadVersion | Op::Preview => Expected::Hidden,
            Op::RestoreVersion if !right.download => Expected::Hidden,
            _ => Expected::Forbidden,
        }
    }
}

/// What came of a request.
struct Outcome {
    status: u16,
    body: String,
    /// What is wrong beside the status.
    fault: Option<String>,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self {
            status: answer.status,
            body: answer.text(),
            fault: None,
        }
    }
}

impl Outcome {
    fn wanting(mut self, is_fine: bool, fault: &str) -> Self {
        if !is_fine {
            self.fault = Some(fault.to_owned());
        }
        self
    }

    /// A 207 about one property has the status of that property.
    fn of_property(answer: &Answer) -> Self {
        let mut outcome = Self {
            status: answer.status,
            body: answer.text(),
            fault: None,
        };
        if answer.status == 207 {
            let entries = answer.multistatus().entries;
            let properties = entries.iter().flat_map(|entry| entry.properties.values());
            let worst = properties.map(|property| property.status).max();
            outcome.status = worst.unwrap_or(207);
        }
        outcome
    }
}

/// One cell, about to be tried.
struct Cell<'a> {
    server: &'a TestServer,
    caller: &'a Caller,
    way: Way,
    /// The folder of this cell, below the one that was given.
    name: String,
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {:?}", self.caller.what, self.way)
    }
}

impl Cell<'_> {
    /// The path of something in the cell's folder, as the caller addresses it.
    fn at(&self, rest: &str) -> String {
        match &self.caller.door {
            Door::Account { at, .. } => format!("{at}/{}{rest}", self.name),
            Door::Link { .. } => format!("/{}{rest}", self.name),
        }
    }

    fn target(&self, rest: &str) -> String {
        self.prefix() + &encode(&self.at(rest))
    }

    fn prefix(&self) -> String {
        match (&self.caller.door, self.way) {
            (Door::Account { user, .. }, Way::Remote | Way::Ocs) => {
                format!("/remote.php/dav/files/{}", user.name)
            }
            (Door::Account { .. }, Way::Webdav) => "/remote.php/webdav".to_owned(),
            (Door::Account { .. }, Way::OthersHome) => {
                format!("/remote.php/dav/files/{}", self.caller.maker.name)
            }
            (Door::Account { .. }, _) => "/dav".to_owned(),
            (Door::Link { .. }, Way::OldPublic) => "/public.php/webdav".to_owned(),
            (Door::Link { token, .. }, _) => format!("/public.php/dav/files/{token}"),
        }
    }

    fn signed(&self, request: Request) -> Request {
        match &self.caller.door {
            Door::Account { user, .. } if user.secret.is_empty() => request,
            Door::Account { user, .. } => {
                request.header("Authorization", &basic(&user.name, &user.secret))
            }
            Door::Link { token, password } if self.way == Way::OldPublic => {
                request.header("Authorization", &basic(token, password))
            }
            Door::Link { password, .. } if !password.is_empty() => {
                request.header("Authorization", &basic("anonymous", password))
            }
            Door::Link { .. } => request,
        }
    }

    fn request(&self, method: &str, rest: &str) -> Request {
        self.signed(Request::new(method, &self.target(rest)))
    }

    fn send(&self, request: Request) -> Answer {
        self.server.anonymous(request)
    }

    fn to(&self, request: Request, rest: &str) -> Request {
        let to = format!("http://nuage.test{}", self.target(rest));
        request.header("Destination", &to)
    }

    fn to_home(&self, request: Request, path: &str) -> Request {
        let to = format!("http://nuage.test{}{path}", self.prefix());
        request.header("Destination", &to)
    }

    fn user(&self) -> &User {
        match &self.caller.door {
            Door::Account { user, .. } => user,
            Door::Link { .. } => &self.caller.maker,
        }
    }

    /// The path of something in the cell's folder for whoever made it.
    fn made(&self, rest: &str) -> String {
        format!("{}/{}{rest}", self.caller.made_at, self.name)
    }

    fn prop(&self, rest: &str, depth: &str, name: &str) -> Answer {
        let body = format!(
            "<d:propfind xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:prop><{name}/></d:prop></d:propfind>"
        );
        let request = self.request("PROPFIND", rest).header("Depth", depth);
        self.send(request.body(body))
    }

    fn number(&self, rest: &str) -> String {
        let maker = &self.caller.maker;
        let entry = maker.properties(&self.made(rest), &["oc:fileid"]);
        entry
            .text(&crate::sharing::oc("fileid"))
            .unwrap()
            .to_owned()
    }

    /// Puts a file into the caller's own home, whatever they come with.
    fn own_file(&self) -> String {
        let path = format!("/own-{}.txt", self.name);
        if let Some(home) = &self.caller.owner_of_home {
            home.put(&path, "own").send().expect(201);
        }
        path
    }

    fn try_it(&self, op: Op) -> Outcome {
        match (op, self.way) {
            (Op::Shares | Op::Share | Op::Widen | Op::Link | Op::EndOther, _) => self.try_ocs(op),
            (_, Way::Page) => self.try_page(op),
            (
                Op::Parts
                | Op::Versions
                | Op::ReadVersion
                | Op::RestoreVersion
                | Op::TrashRestore
                | Op::TrashOfOther
                | Op::Preview
                | Op::Search,
                _,
            ) => self.try_beside(op),
            _ => self.try_dav(op),
        }
    }

    fn try_dav(&self, op: Op) -> Outcome {
        match op {
            Op::List => {
                let answer = self.prop("/", "1", "d:getetag");
                let has_file = answer.text().contains("f.txt");
                Outcome::from(answer).wanting(has_file, "the file is not listed")
            }
            Op::Stat => self.prop("/f.txt", "0", "d:getetag").into(),
            Op::Checksum => self.prop("/f.txt", "0", "oc:checksums").into(),
            Op::Read => {
                let answer = self.send(self.request("GET", "/f.txt"));
                let is_whole = answer.text() == CONTENT;
                Outcome::from(answer).wanting(is_whole, "another content")
            }
            Op::Range => {
                let request = self.request("GET", "/f.txt").header("Range", "bytes=0-3");
                let answer = self.send(request);
                let is_part = answer.text() == CONTENT[..4];
                Outcome::from(answer).wanting(is_part, "another content")
            }
            Op::Zip => {
                let request = self.request("GET", "/").header("Accept", "application/zip");
                let answer = self.send(request);
                let is_zip = answer.body.starts_with(b"PK");
                Outcome::from(answer).wanting(is_zip, "no ZIP")
            }
            Op::Overwrite => self.send(self.request("PUT", "/f.txt").body("new")).into(),
            Op::Create => self
                .send(self.request("PUT", "/new.txt").body("new"))
                .into(),
            Op::Mkdir => self.send(self.request("MKCOL", "/folder")).into(),
            Op::Delete => self.send(self.request("DELETE", "/f.txt")).into(),
            Op::DeleteFolder => self.send(self.request("DELETE", "/sub")).into(),
            Op::Rename => {
                let request = self.request("MOVE", "/f.txt");
                self.send(self.to(request, "/g.txt")).into()
            }
            Op::MoveWithin => {
                let request = self.request("MOVE", "/f.txt");
                self.send(self.to(request, "/sub/g.txt")).into()
            }
            Op::MoveOnto => {
                let request = self.request("MOVE", "/f.txt");
                self.send(self.to(request, "/sub/other.txt")).into()
            }
            Op::MoveIn | Op::CopyIn => {
                let own = self.own_file();
                let method = if op == Op::MoveIn { "MOVE" } else { "COPY" };
                let from = format!("{}{own}", self.prefix());
                let request = self.signed(Request::new(method, &from));
                self.send(self.to(request, "/own.txt")).into()
            }
            Op::MoveOut | Op::CopyOut => {
                let method = if op == Op::MoveOut { "MOVE" } else { "COPY" };
                let request = self.request(method, "/f.txt");
                let to = format!("/out-{}.txt", self.name);
                self.send(self.to_home(request, &to)).into()
            }
            Op::Lock => {
                let body = "<d:lockinfo xmlns:d=\"DAV:\"><d:lockscope><d:exclusive/></d:lockscope>\
                     <d:locktype><d:write/></d:locktype></d:lockinfo>";
                let request = self.request("LOCK", "/f.txt").header("Depth", "0");
                self.send(request.body(body)).into()
            }
            Op::Proppatch | Op::Favorite => {
                let property = match op {
                    Op::Favorite => "<oc:favorite>1</oc:favorite>",
                    _ => "<mark xmlns=\"urn:x\">1</mark>",
                };
                let body = format!(
                    "<d:propertyupdate xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:set>\
                     <d:prop>{property}</d:prop></d:set></d:propertyupdate>"
                );
                let request = self.request("PROPPATCH", "/f.txt").body(body);
                Outcome::of_property(&self.send(request))
            }
            other => panic!("{other:?} is no matter of WebDAV"),
        }
    }

    fn try_beside(&self, op: Op) -> Outcome {
        let user = self.user();
        let raw = |method: &str, target: &str| self.signed(Request::new(method, target));
        match op {
            Op::Parts => {
                let place = format!("/remote.php/dav/uploads/{}/{}", user.name, self.name);
                let begun = self.send(raw("MKCOL", &place));
                if begun.status >= 300 {
                    return begun.into();
                }
                let part = raw("PUT", &format!("{place}/00001")).body("in parts");
                self.send(part).expect(201);
                let finish = raw("MOVE", &format!("{place}/.file"));
                self.send(self.to(finish, "/parts.txt")).into()
            }
            Op::Versions | Op::ReadVersion | Op::RestoreVersion => {
                let maker = &self.caller.maker;
                maker
                    .put(&self.made("/f.txt"), FORMER)
                    .send()
                    .expect_any(&[201, 204]);
                maker.put(&self.made("/f.txt"), CONTENT).send().expect(204);
                let number = self.number("/f.txt");
                let all =
                    |whose: &str| format!("/remote.php/dav/versions/{whose}/versions/{number}");
                let body =
                    "<d:propfind xmlns:d=\"DAV:\"><d:prop><d:getetag/></d:prop></d:propfind>";
                let listed = raw("PROPFIND", &all(&user.name))
                    .header("Depth", "1")
                    .body(body);
                if op == Op::Versions {
                    let answer = self.send(listed);
                    let there = answer.status != 207 || answer.multistatus().entries.len() > 1;
                    return Outcome::from(answer).wanting(there, "no version is listed");
                }
                let by_maker = maker
                    .raw("PROPFIND", &all(&maker.name))
                    .header("Depth", "1")
                    .body(body)
                    .send()
                    .expect(207)
                    .multistatus();
                let last = by_maker.entries[1].href.rsplit('/').next().unwrap();
                let version = format!("{}/{last}", all(&user.name));
                if op == Op::ReadVersion {
                    let answer = self.send(raw("GET", &version));
                    let is_it = answer.text() == FORMER;
                    return Outcome::from(answer).wanting(is_it, "another content");
                }
                let to = format!("/remote.php/dav/versions/{}/restore/target", user.name);
                let request = raw("MOVE", &version);
                self.send(request.header("Destination", &to)).into()
            }
            Op::TrashRestore | Op::TrashOfOther => {
                let maker = &self.caller.maker;
                let name = format!("{}.txt", self.name);
                let path = self.made(&format!("/{name}"));
                maker.put(&path, CONTENT).send().expect(201);
                maker.delete(&path).send().expect(204);
                let listed = maker
                    .raw("PROPFIND", "/remote.php/dav/trashbin/ann/trash/")
                    .header("Depth", "1")
                    .send();
                // What lies in the trash of a group's space, nobody finds in their own.
                let href = if listed.status == 207 {
                    let entries = listed.multistatus().entries;
                    let mut hrefs = entries.iter().map(|entry| entry.href.clone());
                    hrefs.find(|href| href.contains(&name))
                } else {
                    None
                };
                let last = href.and_then(|href| href.rsplit('/').next().map(str::to_owned));
                let last = last.unwrap_or_else(|| format!("{name}.d1700000000"));
                let whose = match op {
                    Op::TrashRestore => &user.name,
                    _ => "zoe",
                };
                let from = format!("/remote.php/dav/trashbin/{whose}/trash/{last}");
                let to = format!("/remote.php/dav/trashbin/{whose}/restore/{last}");
                let request = raw("MOVE", &from).header("Destination", &to);
                self.send(request).into()
            }
            Op::Preview => {
                let number = self.number("/p.png");
                let target = format!("/index.php/core/preview?fileId={number}&x=32&y=32");
                self.send(raw("GET", &target)).into()
            }
            Op::Search => {
                let body = format!(
                    "<d:searchrequest xmlns:d=\"DAV:\"><d:basicsearch><d:select><d:prop><d:displayname/>\
                     </d:prop></d:select><d:from><d:scope><d:href>/files/{}</d:href>\
                     <d:depth>infinity</d:depth></d:scope></d:from><d:where><d:like><d:prop>\
                     <d:displayname/></d:prop><d:literal>f.txt</d:literal></d:like></d:where>\
                     </d:basicsearch></d:searchrequest>",
                    user.name
                );
                let request = raw("SEARCH", "/remote.php/dav/").header("Content-Type", "text/xml");
                let answer = self.send(request.body(body));
                let is_found = answer.text().contains("f.txt");
                let mut outcome = Outcome::from(answer);
                if outcome.status == 207 && !is_found {
                    outcome.status = 404;
                }
                outcome
            }
            other => panic!("{other:?} is not beside WebDAV"),
        }
    }

    fn try_ocs(&self, op: Op) -> Outcome {
        let (user, path) = (self.user().clone(), self.at(""));
        let signed = |method: &str, place: &str, form: &[(&str, &str)]| match &self.caller.door {
            Door::Account { user, .. } if !user.secret.is_empty() => {
                call(user, method, place, form)
            }
            Door::Account { .. } | Door::Link { .. } => {
                let target = format!("{}/{place}", crate::sharing::API);
                let request = self.signed(Request::new(method, &target));
                self.send(request.header("OCS-APIRequest", "true"))
            }
        };
        let permissions = match op {
            Op::Widen => "31",
            Op::Link => "1",
            _ => "17",
        };
        match op {
            Op::Shares => {
                let place = format!("shares?path={}&reshares=true", encode(&path));
                signed("GET", &place, &[]).into()
            }
            Op::EndOther => {
                // Somebody else's, of the same folder.
                let share = give(&self.caller.maker, &self.made(""), &user_zoe(&user), READ);
                signed("DELETE", &format!("shares/{share}"), &[]).into()
            }
            Op::Link => {
                let form = [
                    ("path", &*path),
                    ("shareType", "3"),
                    ("permissions", permissions),
                ];
                signed("POST", "shares", &form).into()
            }
            _ => {
                let form = [
                    ("path", &*path),
                    ("shareType", "0"),
                    ("shareWith", "zoe"),
                    ("permissions", permissions),
                ];
                signed("POST", "shares", &form).into()
            }
        }
    }

    fn try_page(&self, op: Op) -> Outcome {
        let Door::Link { token, password } = &self.caller.door else {
            panic!("pages are of links");
        };
        let file = format!("/s/{token}/download?path={}", encode(&self.at("/f.txt")));
        let mut browser = nuage_tests::browser::Browser::new(self.server);
        if !password.is_empty() {
            browser.post(&format!("/s/{token}"), &[("password", password)]);
        }
        let cookie = browser.cookies();
        let send = |request: Request| {
            let request = if cookie.is_empty() {
                request
            } else {
                request.header("Cookie", &cookie)
            };
            self.send(request)
        };
        match op {
            Op::Page => {
                let page = format!("/s/{token}?path={}", encode(&self.at("")));
                send(Request::new("GET", &page)).into()
            }
            Op::Read => {
                let answer = send(Request::new("GET", &file));
                let is_whole = answer.text() == CONTENT;
                Outcome::from(answer).wanting(is_whole, "another content")
            }
            Op::Range => {
                let answer = send(Request::new("GET", &file).header("Range", "bytes=0-3"));
                let is_part = answer.text() == CONTENT[..4];
                Outcome::from(answer).wanting(is_part, "another content")
            }
            Op::Zip => {
                let folder = format!("/s/{token}/download?path={}", encode(&self.at("")));
                let answer = send(Request::new("GET", &folder));
                let is_zip = answer.body.starts_with(b"PK");
                Outcome::from(answer).wanting(is_zip, "no ZIP")
            }
            Op::Send => {
                let form = "--b\r\nContent-Disposition: form-data; name=\"files\"; \
                    filename=\"sent.txt\"\r\n\r\nsent\r\n--b--\r\n";
                let request = Request::new("POST", &format!("/s/{token}"))
                    .header("Content-Type", "multipart/form-data; boundary=b");
                send(request.body(form)).into()
            }
            other => panic!("{other:?} is no matter of pages"),
        }
    }
}

fn user_zoe(like: &User) -> User {
    let mut zoe = like.clone();
    "zoe".clone_into(&mut zoe.name);
    zoe
}

/// Everybody who asks, over one server.
struct Table {
    server: TestServer,
    callers: Vec<Caller>,
}

impl Table {
    fn new() -> Self {
        let server = TestServer::with(&[("NUAGE_SHARING__WRONG_LINKS_MAX", "100000")]);
        let ann = server.user("ann");
        let mut table = Self {
            server,
            callers: Vec::new(),
        };
        table.server.user("zoe");
        fill(&ann, "/team");
        table.add_ended_link(&ann);
        table.add_people(&ann);
        table.add_links(&ann);
        table.add_space(&ann);
        table.add_disabled();
        table
    }

    fn account(&mut self, what: &'static str, user: &User, at: &str, standing: Standing) {
        let (maker, made_at) = match self.callers.iter().find(|caller| caller.is_owner()) {
            Some(owner) => (owner.maker.clone(), "/team".to_owned()),
            None => (user.clone(), at.to_owned()),
        };
        self.account_of((maker, made_at), what, user, at, standing);
    }

    fn account_of(
        &mut self,
        (maker, made_at): (User, String),
        what: &'static str,
        user: &User,
        at: &str,
        standing: Standing,
    ) {
        let home = matches!(standing, Standing::Has(_) | Standing::Stranger);
        self.callers.push(Caller {
            what,
            standing,
            door: Door::Account {
                user: user.clone(),
                at: at.to_owned(),
            },
            maker,
            made_at,
            owner_of_home: home.then(|| user.clone()),
        });
    }

    fn add_people(&mut self, ann: &User) {
        let server = &self.server;
        let receivers = [
            ("a receiver who reads", READ),
            ("a receiver who changes", READ | UPDATE),
            ("a receiver who adds", READ | CREATE),
            ("a receiver who deletes", READ | DELETE),
            ("a receiver who does all but share", ALL - SHARE),
            ("a receiver who reads and shares", READ | SHARE),
            ("a receiver who does all", ALL),
        ];
        let mut people = Vec::new();
        for (number, (what, may)) in receivers.into_iter().enumerate() {
            let user = server.user(&format!("r{number}"));
            give(ann, "/team", &user, may);
            people.push((what, user, Standing::Has(right(may))));
        }
        let hidden = server.user("hid");
        let form = [
            ("path", "/team"),
            ("shareType", "0"),
            ("shareWith", "hid"),
            ("permissions", "31"),
            (
                "attributes",
                r#"[{"scope":"permissions","key":"download","value":false}]"#,
            ),
        ];
        call(ann, "POST", "shares", &form).expect(200);
        let standing = Standing::Has(Right {
            may: ALL,
            download: false,
        });
        people.push(("a receiver who may not download", hidden, standing));
        // By somebody who was given it, less than they have.
        let through = server.user("through");
        let reshared = data(
            &call(
                &people[6].1,
                "POST",
                "shares",
                &[
                    ("path", "/team"),
                    ("shareType", "0"),
                    ("shareWith", "through"),
                    ("permissions", "3"),
                ],
            )
            .expect(200),
        );
        assert_eq!(reshared["permissions"], 3);
        let standing = Standing::Has(right(READ | UPDATE));
        people.push(("who was given it by a receiver", through, standing));
        let member = server.user("grp");
        server.data.command(&["group", "add", "staff"]).ok();
        let words = ["group", "member", "add", "staff", "grp"];
        server.data.command(&words).ok();
        give_group(ann, "/team", "staff", READ | CREATE);
        let standing = Standing::Has(right(READ | CREATE));
        people.push(("a member of a group", member, standing));
        let of_ann = server.token(ann, &["--read-only"]);
        let whole = server.token(ann, &[]);
        let of_receiver = server.token(&people[6].1, &["--read-only"]);
        let barred = server.user("barred");
        give(ann, "/team", &barred, ALL);
        server.data.command(&["user", "disable", "barred"]).ok();
        let stranger = server.user("stranger");
        let nobody = ann.with_secret("");
        let wrong = ann.with_secret("guessed");

        let owner = Standing::Has(right(ALL));
        self.account("the owner", ann, "/team", owner);
        self.account("the owner by an app password", &whole, "/team", owner);
        let reads = Standing::Reads(right(ALL));
        self.account("the owner by one that reads", &of_ann, "/team", reads);
        for (what, user, standing) in people {
            self.account(what, &user, "/team", standing);
        }
        let what = "a receiver by an app password that reads";
        self.account(what, &of_receiver, "/team", reads);
        self.account("a stranger", &stranger, "/team", Standing::Stranger);
        self.account("a disabled receiver", &barred, "/team", Standing::Nobody);
        self.account("nobody", &nobody, "/team", Standing::Nobody);
        let mut guesser = wrong;
        "r0".clone_into(&mut guesser.name);
        self.account("a wrong password", &guesser, "/team", Standing::Nobody);
        let member = || {
            let caller = self
                .callers
                .iter()
                .find(|caller| caller.what == "a member of a group");
            match &caller.unwrap().door {
                Door::Account { user, .. } => user.names("/").contains(&"team".to_owned()),
                Door::Link { .. } => false,
            }
        };
        let patience = Duration::from_secs(10);
        nuage_tests::wait::wait_until("the group's member sees it", patience, member);
    }

    fn link(
        &mut self,
        what: &'static str,
        (maker, path): (&User, &str),
        form: &[(&str, &str)],
        (standing, password): (Standing, &str),
    ) {
        let mut all = vec![("path", path), ("shareType", "3")];
        all.extend_from_slice(form);
        let made = data(&call(maker, "POST", "shares", &all).expect(200));
        self.callers.push(Caller {
            what,
            standing,
            door: Door::Link {
                token: made["token"].as_str().unwrap().to_owned(),
                password: password.to_owned(),
            },
            maker: maker.clone(),
            made_at: path.to_owned(),
            owner_of_home: None,
        });
    }

    fn add_ended_link(&mut self, ann: &User) {
        let day = today().to_string();
        let form = [("expireDate", &*day), ("permissions", "15")];
        let place = (ann, "/team");
        self.link("a link that ended", place, &form, (Standing::Ended, ""));
        self.server.data.advance(86_400);
    }

    fn add_links(&mut self, ann: &User) {
        let place = (ann, "/team");
        let has = |may| (Standing::Has(right(may)), "");
        self.link("a link to look", place, &[("permissions", "1")], has(READ));
        let form = [("permissions", "15")];
        self.link("a link to change", place, &form, has(ALL - SHARE));
        let form = [("permissions", "4")];
        self.link("a link to send", place, &form, has(CREATE));
        let form = [("permissions", "15"), ("password", "open")];
        let known = (Standing::Has(right(ALL - SHARE)), "open");
        self.link("a link with its password", place, &form, known);
        let wrong = (Standing::WrongPassword, "guessed");
        self.link("a link with a wrong password", place, &form, wrong);
        let none = (Standing::WrongPassword, "");
        self.link("a link without its password", place, &form, none);
        let hides = Standing::Has(Right {
            may: READ,
            download: false,
        });
        let form = [("permissions", "1")];
        self.link("a link without download", place, &form, (hides, ""));
        let Door::Link { token, .. } = &self.callers.last().unwrap().door else {
            panic!("it is a link");
        };
        let listed = data(&call(ann, "GET", "shares?path=/team", &[]).expect(200));
        let all = listed.as_array().unwrap();
        let same = all.iter().find(|share| share["token"] == token.as_str());
        let id = same.unwrap()["id"].as_str().unwrap();
        let form = [("hideDownload", "true")];
        call(ann, "PUT", &format!("shares/{id}"), &form).expect(200);
    }

    fn add_space(&mut self, ann: &User) {
        let server = &self.server;
        server.data.command(&["group", "add", "3B"]).ok();
        let people =
            [("mia", "manager"), ("max", "member"), ("rob", "reader")].map(|(name, role)| {
                let user = server.user(name);
                let words = ["group", "member", "add", "3B", name, "--role", role];
                server.data.command(&words).ok();
                user
            });
        let there = || people.iter().all(|user| user.names("/") == ["3B"]);
        nuage_tests::wait::wait_until("all see the space", Duration::from_secs(10), there);
        let [mia, max, rob] = people;
        mia.mkcol("/3B/team").send().expect(201);
        mia.delete("/3B/team").send().expect(204);
        fill(&mia, "/3B/team");
        for (what, user, may) in [
            ("a manager of a group's space", &mia, ALL),
            ("a member of a group's space", &max, ALL - SHARE),
            ("a reader of a group's space", &rob, READ),
        ] {
            let maker = (mia.clone(), "/3B/team".to_owned());
            let standing = Standing::Has(right(may));
            self.account_of(maker, what, user, "/3B/team", standing);
        }
        let maker = (mia, "/3B/team".to_owned());
        let what = "who does not belong to the group";
        let stranger = Standing::Stranger;
        self.account_of(maker, what, ann, "/3B/team", stranger);
        self.callers.last_mut().unwrap().owner_of_home = Some(ann.clone());
    }

    /// What a person gave stays given when they may not sign in any more; their links end.
    fn add_disabled(&mut self) {
        let server = &self.server;
        let dora = server.user("dora");
        fill(&dora, "/team");
        let (full, reader) = (server.user("dfull"), server.user("dread"));
        give(&dora, "/team", &full, ALL);
        give(&dora, "/team", &reader, READ);
        let form = [("permissions", "15")];
        let ended = (Standing::Ended, "");
        self.link(
            "a link of somebody disabled",
            (&dora, "/team"),
            &form,
            ended,
        );
        let link = self.callers.last_mut().unwrap();
        link.maker = full.clone();
        self.server.data.command(&["user", "disable", "dora"]).ok();
        let gone = || dora.get("/team/template/f.txt").send().status == 401;
        nuage_tests::wait::wait_until("dora is out", Duration::from_secs(10), gone);
        let maker = (full, "/team".to_owned());
        let what = "a receiver of somebody disabled";
        let standing = Standing::Has(right(READ));
        self.account_of(maker, what, &reader, "/team", standing);
    }
}

/// Makes a folder with what every cell gets a copy of.
fn fill(user: &User, path: &str) {
    user.folders(&format!("{path}/template/sub"));
    for (name, content) in [("f.txt", CONTENT), ("sub/other.txt", "other")] {
        let file = format!("{path}/template/{name}");
        user.put(&file, content).send().expect(201);
    }
    let mut picture = Cursor::new(Vec::new());
    let image = image::RgbImage::from_pixel(64, 64, image::Rgb([9, 90, 200]));
    image
        .write_to(&mut picture, image::ImageFormat::Png)
        .unwrap();
    let file = format!("{path}/template/p.png");
    user.put(&file, picture.into_inner()).send().expect(201);
    // The first time it may take longer than a request waits.
    let entry = user.properties(&file, &["oc:fileid"]);
    let number = entry
        .text(&crate::sharing::oc("fileid"))
        .unwrap()
        .to_owned();
    let target = format!("/index.php/core/preview?fileId={number}&x=32&y=32");
    let made = || user.raw("GET", &target).send().status == 200;
    nuage_tests::wait::wait_until("there is a preview", Duration::from_secs(30), made);
}

#[test]
fn every_caller_can_do_what_the_rules_say_and_nothing_else() {
    let table = Table::new();
    let mut faults = Vec::new();
    let mut number = 0;
    let mut slow = String::new();
    for caller in &table.callers {
        let begun = Instant::now();
        let ways: &[(Way, &[&[Op]])] = match &caller.door {
            Door::Account { user, .. } if user.name == caller.maker.name => &[
                (Way::Remote, &[DAV, HOME, BESIDE]),
                (Way::Webdav, &[DAV, HOME]),
                (Way::Short, &[DAV, HOME]),
                (Way::Ocs, &[OCS]),
            ],
            Door::Account { .. } => &[
                (Way::Remote, &[DAV, HOME, BESIDE]),
                (Way::Webdav, &[DAV, HOME]),
                (Way::Short, &[DAV, HOME]),
                (Way::OthersHome, &[DAV]),
                (Way::Ocs, &[OCS]),
            ],
            Door::Link { .. } => &[
                (Way::Public, &[DAV]),
                (Way::OldPublic, &[DAV]),
                (Way::Page, &[PAGES]),
                (Way::Ocs, &[OCS]),
            ],
        };
        for (way, groups) in ways {
            for op in groups.iter().flat_map(|ops| ops.iter()) {
                number += 1;
                try_cell(&table.server, (caller, *way, *op), number, &mut faults);
            }
        }
        let took = begun.elapsed();
        if took > Duration::from_secs(5) {
            write!(slow, "; {}: {took:?}", caller.what).unwrap();
        }
    }
    report(&format!("{number} cells{slow}"));
    assert!(
        faults.is_empty(),
        "{} of {number} cells:\n{}",
        faults.len(),
        faults.join("\n")
    );
    table.server.assert_clean();
}

fn try_cell(
    server: &TestServer,
    (caller, way, op): (&Caller, Way, Op),
    number: u32,
    faults: &mut Vec<String>,
) {
    let expected = caller.expects(op, way);
    if expected == Expected::Skip {
        return;
    }
    let is_fresh = op.changes();
    let name = if is_fresh {
        format!("c{number}")
    } else {
        "template".to_owned()
    };
    let cell = Cell {
        server,
        caller,
        way,
        name,
    };
    let made = cell.made("");
    if is_fresh {
        let template = format!("{}/template", caller.made_at);
        caller.maker.copy(&template, &made).send().expect(201);
    }
    let before = caller.maker.etag_of(&made);
    let outcome = cell.try_it(op);
    let mut fault = |what: &str| {
        let body: String = outcome.body.chars().take(160).collect();
        faults.push(format!(
            "{op:?}, {cell}: {what}: expected {expected:?}, got {} {body:?}",
            outcome.status
        ));
    };
    if !expected.is_met_by(outcome.status) {
        fault("another status");
        return;
    }
    if expected == Expected::Done {
        if let Some(wrong) = &outcome.fault {
            fault(wrong);
        }
        return;
    }
    if outcome.body.contains(TRACE) || expected == Expected::Asked && outcome.body.contains("f.txt")
    {
        fault("the refusal tells");
    }
    // Versions and the trash were filled by the cell itself.
    let prepares = matches!(
        op,
        Op::Versions | Op::ReadVersion | Op::RestoreVersion | Op::TrashRestore | Op::TrashOfOther
    );
    if !prepares && caller.maker.etag_of(&made) != before {
        fault("it was refused, and happened");
    }
}
