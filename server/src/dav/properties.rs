//! Live properties: one table of what there is, and how each is written.
//!
//! A [`Selection`] is compiled once from what a PROPFIND wants; then each node is written
//! straight into the answer's text, one 200-propstat with what it has and one 404-propstat
//! with what it has not. Values are never built as trees: a listing of 10 000 entries is
//! some megabytes of text, and this is the loop that writes them.

use std::fmt::Write;
use std::sync::Arc;

use crate::dav::Dav;
use crate::dav::mount::Mount;
use crate::dav::mount::push_segment;
use crate::dav::xml::DAV;
use crate::dav::xml::Wanted;
use crate::dav::xml::XmlName;
use crate::dav::xml::push_escaped;
use crate::files::Entry;
use crate::files::Listing;
use crate::files::ListingWants;
use crate::files::Lock;
use crate::files::LockKind;
use crate::files::Permissions;
use crate::files::QuotaState;
use crate::files::Reason;
use crate::files::Rights;
use crate::files::Shown;
use crate::files::Source;
use crate::files::Timestamp;
use crate::http::address::BaseUrl;
use crate::http::download::content_type_of;
use crate::identity::Caller;
use crate::previews::Kinds;

/// The namespace of ownCloud's properties.
pub(crate) const OC: &str = "http://owncloud.org/ns";
/// The namespace of Nextcloud's properties.
pub(crate) const NC: &str = "http://nextcloud.org/ns";
/// The namespace of sharing by OCS.
const OCS: &str = "http://open-collaboration-services.org/ns";
/// The namespace of sharing between servers.
const OCM: &str = "http://open-cloud-mesh.org/ns";

/// What opens every multistatus: the prefixes that the table's tags use.
pub(crate) const MULTISTATUS: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
    <d:multistatus xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\" \
    xmlns:nc=\"http://nextcloud.org/ns\" xmlns:ocs=\"http://open-collaboration-services.org/ns\" \
    xmlns:ocm=\"http://open-cloud-mesh.org/ns\">";
/// What closes it.
pub(crate) const MULTISTATUS_END: &str = "</d:multistatus>\n";

/// A property whose value the server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Live {
    ResourceType,
    ContentLength,
    LastModified,
    Etag,
    ContentType,
    DisplayName,
    CreationDate,
    SupportedLock,
    LockDiscovery,
    QuotaAvailable,
    QuotaUsed,
    Id,
    FileId,
    Size,
    Permissions,
    Checksums,
    OwnerId,
    OwnerDisplayName,
    DataFingerprint,
    ShareTypes,
    IsMountRoot,
    HasPreview,
    CreationTime,
    UploadTime,
    ContainedFolders,
    ContainedFiles,
    PrivateLink,
    Favorite,
    Tags,
    SystemTags,
    Comments,
    SharePermissions,
    ShareRights,
    ShareAttributes,
    MountType,
    IsEncrypted,
    Locked,
    LockOwner,
    LockOwnerShown,
    LockOwnerType,
    LockEditor,
    LockTime,
    LockTimeout,
    LockToken,
}

/// The properties by which sync clients show locks.
const LOCKS: &[Live] = &[
    Live::Locked,
    Live::LockOwner,
    Live::LockOwnerShown,
    Live::LockOwnerType,
    Live::LockEditor,
    Live::LockTime,
    Live::LockTimeout,
    Live::LockToken,
];

/// A row of the table.
#[derive(Debug)]
struct Column {
    live: Live,
    namespace: &'static str,
    local: &'static str,
    /// The name with the prefix that [`MULTISTATUS`] declares.
    tag: &'static str,
    /// RFC 4918 defines it, so `allprop` brings it (section 9.1).
    is_in_all: bool,
}

macro_rules! table {
    ($($live:ident $namespace:ident $prefix:literal $local:literal $all:literal)*) => {
        /// Every live property.
        const TABLE: &[Column] = &[$(Column {
            live: Live::$live,
            namespace: $namespace,
            local: $local,
            tag: concat!($prefix, ":", $local),
            is_in_all: $all,
        }),*];
    };
}

table! {
    ResourceType DAV "d" "resourcetype" true
    ContentLength DAV "d" "getcontentlength" true
    LastModified DAV "d" "getlastmodified" true
    Etag DAV "d" "getetag" true
    ContentType DAV "d" "getcontenttype" true
    DisplayName DAV "d" "displayname" true
    CreationDate DAV "d" "creationdate" true
    SupportedLock DAV "d" "supportedlock" true
    LockDiscovery DAV "d" "lockdiscovery" true
    QuotaAvailable DAV "d" "quota-available-bytes" false
    QuotaUsed DAV "d" "quota-used-bytes" false
    Id OC "oc" "id" false
    FileId OC "oc" "fileid" false
    Size OC "oc" "size" false
    Permissions OC "oc" "permissions" false
    Checksums OC "oc" "checksums" false
    OwnerId OC "oc" "owner-id" false
    OwnerDisplayName OC "oc" "owner-display-name" false
    DataFingerprint OC "oc" "data-fingerprint" false
    ShareTypes OC "oc" "share-types" false
    IsMountRoot NC "nc" "is-mount-root" false
    HasPreview NC "nc" "has-preview" false
    CreationTime NC "nc" "creation_time" false
    UploadTime NC "nc" "upload_time" false
    ContainedFolders NC "nc" "contained-folder-count" false
    ContainedFiles NC "nc" "contained-file-count" false
    PrivateLink OC "oc" "privatelink" false
    Favorite OC "oc" "favorite" false
    Tags OC "oc" "tags" false
    SystemTags NC "nc" "system-tags" false
    Comments OC "oc" "comments-count" false
    Comments OC "oc" "comments-unread" false
    SharePermissions OCS "ocs" "share-permissions" false
    ShareRights OCM "ocm" "share-permissions" false
    ShareAttributes NC "nc" "share-attributes" false
    MountType NC "nc" "mount-type" false
    IsEncrypted NC "nc" "is-encrypted" false
    Locked NC "nc" "lock" false
    LockOwner NC "nc" "lock-owner" false
    LockOwnerShown NC "nc" "lock-owner-displayname" false
    LockOwnerType NC "nc" "lock-owner-type" false
    LockEditor NC "nc" "lock-owner-editor" false
    LockTime NC "nc" "lock-time" false
    LockTimeout NC "nc" "lock-timeout" false
    LockToken NC "nc" "lock-token" false
}

/// Returns whether the server alone says what this property is.
pub(crate) fn is_protected(name: &XmlName) -> bool {
    column_of(name).is_some()
}

fn column_of(name: &XmlName) -> Option<&'static Column> {
    TABLE
        .iter()
        .find(|column| column.local == name.local && column.namespace == name.namespace)
}

/// Where a caller's files appear to a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Below this address.
    pub(crate) mount: &'a Mount,
    /// On a server that the client knows by this one.
    pub(crate) base_url: &'a BaseUrl,
}

/// What is the same for every node of one answer.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Ends every `oc:id`.
    pub(crate) instance: String,
    /// Sign-in name of the space's owner.
    pub(crate) owner: String,
    /// The owner's name as people see it.
    pub(crate) owner_shown: String,
    /// What the root tells after data was restored from a backup; else empty.
    pub(crate) fingerprint: String,
    /// Which files have a preview; a client then asks for it.
    pub(crate) previewed: Arc<Kinds>,
    /// What the caller may do, where a node is no mount that says it itself.
    pub(crate) rights: Rights,
    /// What the caller's credential allows at most.
    pub(crate) allowed: Permissions,
    /// The space's quota, where the selection needs it.
    pub(crate) quota: Option<QuotaState>,
    /// The URL prefix of the mount.
    pub(crate) prefix: String,
    /// The address under which the client knows the server.
    pub(crate) base_url: String,
    /// The moment, for the rest of locks.
    pub(crate) now: Timestamp,
}

impl Facts {
    /// Gathers them for an answer about some of a caller's files; the quota is added where it is wanted.
    pub(crate) fn of(
        dav: &Dav,
        caller: &Caller,
        place: Place<'_>,
        (rights, owner): (Rights, Shown),
    ) -> Self {
        let Place { mount, base_url } = place;
        Self {
            base_url: base_url.0.to_string(),
            instance: dav.settings.instance.clone(),
            owner: owner.name,
            owner_shown: owner.display_name,
            fingerprint: dav.settings.fingerprint.clone(),
            previewed: Arc::clone(&dav.settings.previewed),
            rights,
            allowed: if caller.is_read_only {
                Permissions::READ
            } else {
                Permissions::ALL
            },
            quota: None,
            prefix: mount.prefix.clone(),
            now: dav.files.now(),
        }
    }

    /// Returns the facts of a listing further down.
    pub(crate) fn below(&self, listing: &Listing) -> Self {
        Self {
            rights: listing.rights.clone(),
            owner: listing.owner.name.clone(),
            owner_shown: listing.owner.display_name.clone(),
            quota: listing.quota,
            ..self.clone()
        }
    }

    /// Returns the facts of something that the caller was given.
    pub(crate) fn given(&self, (rights, owner): &(Rights, Shown)) -> Self {
        Self {
            rights: rights.clone(),
            owner: owner.name.clone(),
            owner_shown: owner.display_name.clone(),
            quota: None,
            ..self.clone()
        }
    }

    /// Returns what the caller may do with a node, and how it came to them.
    fn standing(&self, entry: &Entry) -> Standing {
        match &entry.mount {
            None => Standing {
                permissions: self.rights.permissions,
                may_download: self.rights.may_download,
                is_root: false,
                kind: match &self.rights.reason {
                    Reason::Given { .. } => MountKind::Shared,
                    Reason::Member { .. } => MountKind::Group,
                    Reason::Owner | Reason::ReadOnlyPassword | Reason::Link => MountKind::None,
                },
            },
            Some(mount) => Standing {
                permissions: mount.permissions.and(self.allowed),
                may_download: mount.may_download,
                is_root: self.allowed == Permissions::ALL,
                kind: match mount.source {
                    Source::Shares(_) => MountKind::Shared,
                    Source::Team(..) => MountKind::Group,
                },
            },
        }
    }
}

/// How a node came to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MountKind {
    /// It lies in their home.
    None,
    /// Somebody shared it, or something above it.
    Shared,
    /// It lies in a group's space.
    Group,
}

/// What somebody may do with a node.
struct Standing {
    permissions: Permissions,
    may_download: bool,
    /// It is a mount that its receiver may place and leave.
    is_root: bool,
    kind: MountKind,
}

/// The properties of an answer, compiled from the request.
#[derive(Debug)]
pub(crate) struct Selection {
    items: Vec<Item>,
    /// Every dead property as well.
    all_dead: bool,
    /// Names only.
    names: bool,
    /// What a node has not is left out instead of reported.
    is_minimal: bool,
}

#[derive(Debug)]
enum Item {
    Live(&'static Column),
    /// A dead property, and the empty element that says it is not there.
    Dead(XmlName, String),
}

impl Selection {
    /// Compiles what a request wants.
    pub(crate) fn new(wanted: &Wanted, is_minimal: bool) -> Self {
        let of_all = |only_standard: bool| {
            let columns = TABLE
                .iter()
                .filter(move |column| column.is_in_all || !only_standard);
            columns.map(Item::Live)
        };
        match wanted {
            Wanted::These(names) => Self {
                items: names.iter().map(item_of).collect(),
                all_dead: false,
                names: false,
                is_minimal,
            },
            Wanted::All { include } => {
                let is_new = |item: &Item| !matches!(item, Item::Live(c) if c.is_in_all);
                Self {
                    items: of_all(true)
                        .chain(include.iter().map(item_of).filter(is_new))
                        .collect(),
                    all_dead: true,
                    names: false,
                    // Nobody asked by name, so nothing is missing.
                    is_minimal: is_minimal || include.is_empty(),
                }
            }
            Wanted::Names => Self {
                items: of_all(false).collect(),
                all_dead: true,
                names: true,
                is_minimal: true,
            },
        }
    }

    fn has(&self, wanted: &[Live]) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item, Item::Live(column) if wanted.contains(&column.live)))
    }

    /// Returns what a listing must bring for these properties.
    pub(crate) fn wants(&self, caller: &Caller) -> ListingWants {
        ListingWants {
            properties: self.all_dead || self.items.iter().any(|i| matches!(i, Item::Dead(..))),
            locks: self.has(&[Live::LockDiscovery]) || self.has(LOCKS),
            checksums: self.has(&[Live::Checksums]),
            quota: self.wants_quota(),
            favorites_of: Some(caller.user).filter(|_| self.has(&[Live::Favorite])),
            tags: self.has(&[Live::Tags, Live::SystemTags]),
            share_kinds: self.has(&[Live::ShareTypes]),
            uploaded: self.has(&[Live::UploadTime]),
            children: self.has(&[Live::ContainedFolders, Live::ContainedFiles]),
        }
    }

    /// Returns whether these properties need the space's quota.
    pub(crate) fn wants_quota(&self) -> bool {
        self.has(&[Live::QuotaAvailable, Live::QuotaUsed])
    }

    /// Writes one response element.
    pub(crate) fn write(&self, out: &mut String, href: &str, entry: &Entry, facts: &Facts) {
        out.push_str("<d:response><d:href>");
        out.push_str(href);
        out.push_str("</d:href><d:propstat><d:prop>");
        let mut missing: Vec<&Item> = Vec::new();
        for item in &self.items {
            if !self.write_item(out, item, entry, facts) {
                missing.push(item);
            }
        }
        if self.all_dead {
            self.write_all_dead(out, entry);
        }
        out.push_str("</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>");
        if !missing.is_empty() && !self.is_minimal {
            out.push_str("<d:propstat><d:prop>");
            for item in missing {
                match item {
                    Item::Live(column) => push_empty(out, column.tag),
                    Item::Dead(_, empty) => out.push_str(empty),
                }
            }
            out.push_str("</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>");
        }
        out.push_str("</d:response>");
    }

    /// Writes a property; `false`: the node has it not, and nothing was written.
    fn write_item(&self, out: &mut String, item: &Item, entry: &Entry, facts: &Facts) -> bool {
        let start = out.len();
        match item {
            Item::Live(column) => {
                out.push('<');
                out.push_str(column.tag);
                out.push('>');
                let value_start = out.len();
                let is_there = write_value(out, column.live, entry, facts);
                if !is_there || self.names {
                    out.truncate(start);
                    if is_there {
                        push_empty(out, column.tag);
                    }
                } else if out.len() == value_start {
                    out.truncate(start);
                    push_empty(out, column.tag);
                } else {
                    out.push_str("</");
                    out.push_str(column.tag);
                    out.push('>');
                }
                is_there
            }
            Item::Dead(name, _) => {
                // With every dead property in the answer, this one is written with them.
                let held = entry
                    .properties
                    .iter()
                    .find(|held| held.name == name.local && held.namespace == name.namespace);
                if let Some(held) = held.filter(|_| !self.all_dead) {
                    out.push_str(&held.xml);
                }
                held.is_some()
            }
        }
    }

    fn write_all_dead(&self, out: &mut String, entry: &Entry) {
        for property in &entry.properties {
            if self.names {
                push_empty_dead(out, &property.namespace, &property.name);
            } else {
                out.push_str(&property.xml);
            }
        }
    }
}

fn item_of(name: &XmlName) -> Item {
    column_of(name).map_or_else(|| Item::Dead(name.clone(), empty_element(name)), Item::Live)
}

/// Returns a name with the prefix that [`MULTISTATUS`] declares; `None`: of another namespace.
pub(crate) fn tag_of(name: &XmlName) -> Option<String> {
    let prefixes = [
        (DAV, "d"),
        (OC, "oc"),
        (NC, "nc"),
        (OCS, "ocs"),
        (OCM, "ocm"),
    ];
    let (_, prefix) = prefixes
        .iter()
        .find(|(known, _)| *known == name.namespace)?;
    Some(format!("{prefix}:{}", name.local))
}

/// Returns an element without content, for inside of [`MULTISTATUS`].
pub(crate) fn empty_element(name: &XmlName) -> String {
    let mut empty = String::new();
    match tag_of(name) {
        Some(tag) => push_empty(&mut empty, &tag),
        None => push_empty_dead(&mut empty, &name.namespace, &name.local),
    }
    empty
}

fn push_empty(out: &mut String, tag: &str) {
    out.push('<');
    out.push_str(tag);
    out.push_str("/>");
}

/// Writes an element without content for a property that is not in the table.
pub(crate) fn push_empty_dead(out: &mut String, namespace: &str, local: &str) {
    let prefix = if namespace.is_empty() { "" } else { "x:" };
    out.push('<');
    out.push_str(prefix);
    out.push_str(local);
    if !namespace.is_empty() {
        out.push_str(" xmlns:x=\"");
        push_escaped(out, namespace);
        out.push('"');
    }
    out.push_str("/>");
}

/// Writes a number, which a String always takes.
pub(crate) fn push_number(out: &mut String, number: impl std::fmt::Display) {
    let written = write!(out, "{number}");
    debug_assert!(written.is_ok(), "a String takes everything");
}

/// Writes a value; `false`: this node has no such property.
fn write_value(out: &mut String, live: Live, entry: &Entry, facts: &Facts) -> bool {
    let node = &entry.node;
    let is_folder = node.is_folder();
    match live {
        Live::ResourceType if is_folder => out.push_str("<d:collection/>"),
        Live::ResourceType => {}
        Live::ShareTypes => {
            for kind in &entry.share_kinds {
                push_number(out, format_args!("<oc:share-type>{kind}</oc:share-type>"));
            }
        }
        Live::MountType => out.push_str(match facts.standing(entry).kind {
            MountKind::None => "",
            MountKind::Shared => "shared",
            MountKind::Group => "group",
        }),
        Live::ContentLength | Live::ContentType if is_folder => return false,
        Live::ContentLength | Live::Size => push_number(out, node.size_bytes),
        Live::ContentType => out.push_str(&content_type_of(&node.name)),
        Live::LastModified => {
            push_number(out, httpdate::HttpDate::from(node.mtime.system_time()));
        }
        Live::Etag => {
            out.push_str("&quot;");
            out.push_str(&entry.etag());
            out.push_str("&quot;");
        }
        Live::DisplayName if is_home(entry) => push_escaped(out, &facts.owner_shown),
        Live::DisplayName => push_escaped(out, &node.name),
        Live::CreationDate => match jiff::Timestamp::from_second(node.ctime.seconds()) {
            Ok(created) => push_number(out, created),
            Err(_) => return false,
        },
        Live::SupportedLock => out.push_str(SUPPORTED_LOCK),
        Live::LockDiscovery => {
            for lock in &entry.locks {
                write_lock(out, lock, &facts.prefix, facts.now);
            }
        }
        Live::QuotaAvailable | Live::QuotaUsed => {
            return is_folder && write_quota(out, live, facts);
        }
        Live::Id => push_number(out, format_args!("{:08}{}", node.id.0, facts.instance)),
        Live::FileId => push_number(out, node.id.0),
        Live::Permissions => push_letters(out, is_folder, &facts.standing(entry)),
        Live::Checksums => match &entry.checksum {
            Some(checksum) => {
                out.push_str("<oc:checksum>");
                push_escaped(out, checksum);
                out.push_str("</oc:checksum>");
            }
            None => return false,
        },
        Live::OwnerId => push_escaped(
            out,
            entry.mount.as_ref().map_or(&facts.owner, |m| &m.owner.name),
        ),
        Live::OwnerDisplayName => push_escaped(
            out,
            entry
                .mount
                .as_ref()
                .map_or(&facts.owner_shown, |m| &m.owner.display_name),
        ),
        Live::DataFingerprint if is_home(entry) => out.push_str(&facts.fingerprint),
        Live::IsMountRoot => out.push_str(if entry.mount.is_some() {
            "true"
        } else {
            "false"
        }),
        Live::HasPreview => {
            out.push_str(if !is_folder && facts.previewed.may_have(&node.name) {
                "true"
            } else {
                "false"
            });
        }
        Live::CreationTime => push_number(out, node.ctime.seconds()),
        Live::DataFingerprint => return false,
        Live::UploadTime => match entry.uploaded_at {
            Some(at) => push_number(out, at.seconds()),
            None => return false,
        },
        Live::ContainedFolders | Live::ContainedFiles => match entry.children {
            Some(held) if live == Live::ContainedFolders => push_number(out, held.folders),
            Some(held) => push_number(out, held.files),
            None => return false,
        },
        Live::PrivateLink => {
            push_escaped(out, &facts.base_url);
            push_number(out, format_args!("/f/{}", node.id.0));
        }
        Live::Favorite => out.push(if entry.is_favorite { '1' } else { '0' }),
        Live::Tags => push_tags(out, "oc:tag", &entry.tags),
        Live::SystemTags => push_tags(out, "nc:system-tag", &entry.tags),
        Live::Comments | Live::IsEncrypted => out.push('0'),
        Live::SharePermissions => {
            let permissions = facts.standing(entry).permissions;
            // A file can neither be created in nor deleted from.
            let of_folders = Permissions::CREATE.or(Permissions::DELETE);
            let shown = if is_folder {
                permissions
            } else {
                permissions.without(of_folders)
            };
            push_number(out, shown.bits());
        }
        Live::ShareRights => {
            let permissions = facts.standing(entry).permissions;
            let words = [
                (Permissions::SHARE, "&quot;share&quot;"),
                (Permissions::READ, "&quot;read&quot;"),
                (Permissions::UPDATE, "&quot;write&quot;"),
            ];
            let words = words.iter().filter(|(needed, _)| permissions.has(*needed));
            let words: Vec<&str> = words.map(|(_, word)| *word).collect();
            push_number(out, format_args!("[{}]", words.join(",")));
        }
        Live::ShareAttributes => out.push_str(if facts.standing(entry).may_download {
            "[]"
        } else {
            "[{&quot;scope&quot;:&quot;permissions&quot;,&quot;key&quot;:&quot;download&quot;,\
             &quot;value&quot;:false}]"
        }),
        Live::Locked
        | Live::LockOwner
        | Live::LockOwnerShown
        | Live::LockOwnerType
        | Live::LockEditor
        | Live::LockTime
        | Live::LockTimeout
        | Live::LockToken => {
            let at = LOCKS.iter().position(|lock| *lock == live);
            let tag = at.and_then(|at| LOCK_TAGS.get(at)).copied();
            return write_lock_value(tag.unwrap_or_default(), out, entry.locks.first());
        }
    }
    true
}

/// The locks that can be had (RFC 4918 section 15.10).
const SUPPORTED_LOCK: &str = "<d:lockentry><d:lockscope><d:exclusive/></d:lockscope>\
    <d:locktype><d:write/></d:locktype></d:lockentry>\
    <d:lockentry><d:lockscope><d:shared/></d:lockscope>\
    <d:locktype><d:write/></d:locktype></d:lockentry>";

/// Writes a quota property (RFC 4331). Without a limit there is no such property, except for sync
/// clients, who know a number for that.
fn write_quota(out: &mut String, live: Live, facts: &Facts) -> bool {
    let Some(quota) = facts.quota else {
        return false;
    };
    match (live, quota.quota_bytes) {
        (Live::QuotaUsed, _) => push_number(out, quota.used_bytes),
        (_, Some(limit)) => push_number(out, limit.saturating_sub(quota.used_bytes)),
        (_, None) if facts.prefix.starts_with("/remote.php/") => out.push_str("-3"),
        (_, None) => return false,
    }
    true
}

/// The names of the properties of a lock, as [`MULTISTATUS`] declares them.
pub(crate) const LOCK_TAGS: [&str; 8] = [
    "nc:lock",
    "nc:lock-owner",
    "nc:lock-owner-displayname",
    "nc:lock-owner-type",
    "nc:lock-owner-editor",
    "nc:lock-time",
    "nc:lock-timeout",
    "nc:lock-token",
];

/// Writes a property of a lock; `false`: no such lock, though the first property is there all the same.
pub(crate) fn write_lock_value(tag: &str, out: &mut String, lock: Option<&Lock>) -> bool {
    let Some(lock) = lock else {
        return tag == "nc:lock";
    };
    match tag {
        "nc:lock" => out.push('1'),
        "nc:lock-owner" => push_escaped(out, &lock.owner_name),
        "nc:lock-owner-displayname" => push_escaped(out, &lock.owner_shown),
        "nc:lock-owner-type" => out.push(match lock.kind {
            LockKind::Hand => '0',
            LockKind::Application => '1',
            LockKind::Dav | LockKind::Token => '2',
        }),
        "nc:lock-owner-editor" => push_escaped(out, lock.editor.as_deref().unwrap_or_default()),
        "nc:lock-time" => match lock.made_at {
            Some(at) => push_number(out, at.seconds()),
            None => return false,
        },
        "nc:lock-timeout" => push_number(out, lock.timeout_seconds),
        "nc:lock-token" => push_escaped(out, &lock.token),
        _ => return false,
    }
    true
}

/// Writes names as elements.
fn push_tags(out: &mut String, tag: &str, names: &[String]) {
    for name in names {
        for part in ["<", tag, ">"] {
            out.push_str(part);
        }
        push_escaped(out, name);
        for part in ["</", tag, ">"] {
            out.push_str(part);
        }
    }
}

/// Returns whether an entry is the root of the caller's own home.
fn is_home(entry: &Entry) -> bool {
    entry.node.parent.is_none() && entry.mount.is_none()
}

/// Writes rights in the letters of sync clients: Shared, Reshare, Mounted, Get, Delete, reName, moVe, Write,
/// Create files, maKe folders. Whoever was given something may place and leave it whatever its rights.
fn push_letters(out: &mut String, is_folder: bool, standing: &Standing) {
    let may = |needed| standing.permissions.has(needed);
    let is_given = standing.kind == MountKind::Shared;
    let is_group = standing.kind == MountKind::Group;
    let letters = [
        ('S', is_given),
        ('R', may(Permissions::SHARE)),
        ('M', is_group),
        ('G', may(Permissions::READ) && standing.may_download),
        (
            'D',
            if standing.is_root {
                is_given
            } else {
                may(Permissions::DELETE)
            },
        ),
        ('N', may(Permissions::UPDATE) || standing.is_root),
        ('V', may(Permissions::DELETE) || standing.is_root),
        ('W', !is_folder && may(Permissions::UPDATE)),
        ('C', is_folder && may(Permissions::CREATE)),
        ('K', is_folder && may(Permissions::CREATE)),
    ];
    out.extend(
        letters
            .iter()
            .filter(|(_, is_so)| *is_so)
            .map(|(letter, _)| letter),
    );
}

/// Writes an activelock element (RFC 4918 section 14.1).
pub(crate) fn write_lock(out: &mut String, lock: &Lock, prefix: &str, now: Timestamp) {
    let scope = if lock.shared { "shared" } else { "exclusive" };
    let depth = if lock.deep { "infinity" } else { "0" };
    let rest_seconds = (lock.until.seconds() - now.seconds()).max(1);
    push_number(
        out,
        format_args!(
            "<d:activelock><d:locktype><d:write/></d:locktype>\
             <d:lockscope><d:{scope}/></d:lockscope><d:depth>{depth}</d:depth>"
        ),
    );
    out.push_str(lock.info.as_deref().unwrap_or_default());
    push_number(
        out,
        format_args!("<d:timeout>Second-{rest_seconds}</d:timeout>"),
    );
    out.push_str("<d:locktoken><d:href>");
    push_escaped(out, &lock.token);
    out.push_str("</d:href></d:locktoken><d:lockroot><d:href>");
    out.push_str(prefix);
    for name in lock.path.names() {
        out.push('/');
        push_segment(out, name.as_str());
    }
    if lock.path.is_root() {
        out.push('/');
    }
    out.push_str("</d:href></d:lockroot></d:activelock>");
}

#[cfg(test)]
mod tests {
    use crate::dav::xml::Element;
    use crate::dav::xml::parse_propfind;
    use crate::files::Node;
    use crate::files::NodeId;
    use crate::files::NodeKind;
    use crate::files::Property;
    use crate::files::SpaceId;

    use super::*;

    fn entry(kind: NodeKind) -> Entry {
        let time = Timestamp::from_seconds(1_795_451_296);
        let node = Node {
            id: NodeId(42),
            space: SpaceId(1),
            parent: Some(NodeId(1)),
            name: "a & b.txt".to_owned(),
            kind,
            seq: 9,
            tree_seq: 9,
            content: None,
            size_bytes: 7,
            tree_files: 1,
            rev: 3,
            mtime: time,
            ctime: time,
            flags: 0,
        };
        Entry {
            checksum: Some("SHA1:00".to_owned()),
            properties: vec![Property {
                namespace: "urn:x".to_owned(),
                name: "mark".to_owned(),
                xml: "<mark xmlns=\"urn:x\">1</mark>".to_owned(),
            }],
            ..Entry::bare(node)
        }
    }

    fn write(body: &str, is_minimal: bool, kind: NodeKind) -> String {
        let facts = Facts {
            instance: "ocabc".to_owned(),
            owner: "ann".to_owned(),
            owner_shown: "Ann <A>".to_owned(),
            fingerprint: String::new(),
            previewed: Arc::default(),
            rights: Rights {
                permissions: Permissions::ALL,
                may_download: true,
                may_read_space: true,
                reason: Reason::Owner,
            },
            allowed: Permissions::ALL,
            quota: Some(QuotaState {
                used_bytes: 3,
                quota_bytes: Some(10),
            }),
            prefix: "/dav".to_owned(),
            base_url: "https://cloud.example".to_owned(),
            now: Timestamp(0),
        };
        let wanted = parse_propfind(body.as_bytes()).unwrap();
        let mut out = MULTISTATUS.to_owned();
        Selection::new(&wanted, is_minimal).write(&mut out, "/dav/x", &entry(kind), &facts);
        out.push_str(MULTISTATUS_END);
        Element::parse(out.as_bytes()).expect(&out);
        out
    }

    const SYNC_CLIENT: &str = r#"<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns">
        <d:prop><d:resourcetype/><d:getlastmodified/><d:getcontentlength/><d:getetag/><oc:size/>
        <oc:id/><oc:fileid/><oc:downloadURL/><oc:permissions/><oc:checksums/><oc:data-fingerprint/>
        <is-mount-root xmlns="http://nextcloud.org/ns"/></d:prop></d:propfind>"#;

    #[test]
    fn a_sync_client_gets_what_it_needs_and_hears_what_is_missing() {
        let out = write(SYNC_CLIENT, false, NodeKind::File);
        for part in [
            "<d:resourcetype/>",
            "<d:getlastmodified>Mon, 23 Nov 2026 16:28:16 GMT</d:getlastmodified>",
            "<d:getcontentlength>7</d:getcontentlength>",
            "<d:getetag>&quot;2a-3&quot;</d:getetag>",
            "<oc:id>00000042ocabc</oc:id>",
            "<oc:permissions>RGDNVW</oc:permissions>",
            "<oc:checksums><oc:checksum>SHA1:00</oc:checksum></oc:checksums>",
            "<nc:is-mount-root>false</nc:is-mount-root>",
            "<d:propstat><d:prop><oc:downloadURL/><oc:data-fingerprint/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status>",
        ] {
            assert!(out.contains(part), "{part} is not in {out}");
        }
    }

    #[test]
    fn a_minimal_answer_leaves_out_what_is_missing() {
        let out = write(SYNC_CLIENT, true, NodeKind::Folder);
        assert!(!out.contains("404"), "{out}");
        assert!(out.contains("<d:resourcetype><d:collection/></d:resourcetype>"));
    }

    #[test]
    fn everything_means_the_standard_properties_and_the_dead_ones() {
        let out = write("", false, NodeKind::File);
        assert!(out.contains("<mark xmlns=\"urn:x\">1</mark>"), "{out}");
        assert!(
            out.contains("<d:displayname>a &amp; b.txt</d:displayname>"),
            "{out}"
        );
        assert!(!out.contains("oc:id"), "{out}");
        let include = r#"<propfind xmlns="DAV:"><allprop/><include><getetag/>
            <mark xmlns="urn:x"/><id xmlns="http://owncloud.org/ns"/></include></propfind>"#;
        let out = write(include, false, NodeKind::File);
        for part in ["<oc:id>", "<d:getetag>", "<mark "] {
            assert_eq!(out.matches(part).count(), 1, "{part}: {out}");
        }
    }

    #[test]
    fn names_come_without_values() {
        let out = write(
            "<propfind xmlns='DAV:'><propname/></propfind>",
            false,
            NodeKind::Folder,
        );
        assert!(out.contains("<d:getetag/>"), "{out}");
        assert!(out.contains("<x:mark xmlns:x=\"urn:x\"/>"), "{out}");
        assert!(!out.contains("getcontentlength"), "{out}");
    }

    #[test]
    fn quota_belongs_to_folders() {
        let body = "<propfind xmlns='DAV:'><prop><quota-available-bytes/></prop></propfind>";
        let quota = "<d:quota-available-bytes>7</d:quota-available-bytes>";
        assert!(write(body, false, NodeKind::Folder).contains(quota));
        assert!(!write(body, false, NodeKind::File).contains(quota));
    }
}
