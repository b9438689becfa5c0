//! Shares and links, and whom they can be made with.

use http::Response;
use http::StatusCode;
use jiff::civil::Date;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::call::Call;
use crate::api::call::path_of;
use crate::api::call::shown;
use crate::api::done;
use crate::api::json;
use crate::api::problem::Problem;
use crate::api::secret_json;
use crate::api::shapes::Named;
use crate::api::shapes::kind_of;
use crate::api::shapes::millis;
use crate::files::NodeId;
use crate::files::Permissions;
use crate::http::body::Body;
use crate::identity::Caller;
use crate::identity::directory::DirectoryQuestion;
use crate::identity::secret::Secret;
use crate::sharing::Changes;
use crate::sharing::NewShare;
use crate::sharing::Receiver;
use crate::sharing::Selected;
use crate::sharing::Share;
use crate::sharing::ShareId;
use crate::sharing::SharedWith;

/// People and groups that one question brings.
const PEOPLE_MAX: usize = 20;

/// With whom something is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ShareKind {
    /// A person.
    Person,
    /// A group.
    Group,
    /// Whoever has the link.
    Link,
}

/// What is shared.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SharedNode {
    /// Its number for life.
    id: i64,
    /// Its name.
    name: String,
    /// 0: file, 1: folder.
    kind: u8,
    /// Where the caller sees it.
    path: Option<String>,
}

/// A share.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Share)]
pub(super) struct ShareShape {
    /// Its number for life.
    id: i64,
    /// With whom.
    kind: ShareKind,
    /// Who that is; of a link, nobody.
    receiver: Option<Named>,
    /// What is shared.
    node: SharedNode,
    /// Who gave it.
    from: Named,
    /// Whose it is.
    owner: Named,
    /// What it allows.
    permissions: i64,
    /// Whether contents may leave the server as they are.
    may_download: bool,
    /// A message to the receiver.
    note: String,
    /// What the giver calls it.
    label: String,
    /// The last day on which it holds, as `2026-12-31`.
    last_day: Option<String>,
    /// When it was made, in milliseconds since 1970.
    made: i64,
    /// Of a link of the caller's: its address.
    url: Option<String>,
    /// Of a link: whether it has a password.
    has_password: bool,
    /// Of a link: downloads through it.
    downloads: u64,
    /// Of a link: when it was last used, in milliseconds since 1970.
    last_used: Option<i64>,
    /// Whether the caller may change and end it.
    may_change: bool,
}

impl ShareShape {
    /// Leaves the address out, for whoever is shown a link without being its owner.
    pub(super) fn hide_address(&mut self) {
        self.url = None;
    }
}

/// Shares.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Shares {
    /// They, in the order in which they were made.
    shares: Vec<ShareShape>,
}

/// A share to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MakeShare {
    /// What.
    path: String,
    /// With whom.
    kind: ShareKind,
    /// The name of the person or group.
    receiver: Option<String>,
    /// What it allows; null: what is usual.
    permissions: Option<i64>,
    /// Whether contents may leave the server as they are; null: yes.
    may_download: Option<bool>,
    /// A message to the receiver.
    #[serde(default)]
    note: String,
    /// What the giver calls it.
    #[serde(default)]
    label: String,
    /// The last day on which it holds, as `2026-12-31`.
    last_day: Option<String>,
    /// Says that no last day is wanted.
    #[serde(default)]
    endless: bool,
    /// Of a link: its password.
    password: Option<String>,
    /// Of a link: what its address shall end with.
    address: Option<String>,
}

/// What shall change of a share; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeOfShare {
    /// What it allows.
    permissions: Option<i64>,
    /// Whether contents may leave the server as they are.
    may_download: Option<bool>,
    /// A message to the receiver.
    note: Option<String>,
    /// What the giver calls it.
    label: Option<String>,
    /// The last day on which it holds; empty: no end.
    last_day: Option<String>,
    /// Of a link: its password; empty: none.
    password: Option<String>,
    /// Of a link: what its address shall end with.
    address: Option<String>,
}

/// A person or group that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Found {
    /// `person` or `group`.
    kind: ShareKind,
    /// The name by which they are known.
    name: String,
    /// The name that people see.
    display_name: String,
    /// What tells them apart from others of that name.
    detail: Option<String>,
}

/// People and groups that were found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundPeople {
    /// They, the likeliest first.
    people: Vec<Found>,
    /// Whether there are more.
    more: bool,
}

impl Api {
    /// `GET /shares`: those of a node, those that the caller gave, or those that they were given.
    pub(super) async fn list_shares(&self, call: &Call<'_>) -> ApiResult {
        let caller = call.caller;
        let selected = match (call.field("path"), call.field("which")) {
            (Some(path), _) => Selected::OfNode {
                node: self.files.find(caller, &path_of(path)?).await?.id,
                of_others: true,
            },
            (None, Some("mine")) => Selected::Mine,
            (None, Some("to-me")) => Selected::ToMe,
            (None, _) => return Err(Problem::bad_field("which")),
        };
        let mut shares = self.sharing.list(caller, selected).await?;
        if matches!(selected, Selected::ToMe) {
            shares.retain(|share| share.sharer != caller.user);
        }
        let shares = self.share_shapes(call, shares).await?;
        // Addresses of links are as good as passwords.
        secret_json(StatusCode::OK, &Shares { shares })
    }

    /// `POST /shares`: shares something.
    pub(super) async fn make_share(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: MakeShare = call.json().await?;
        let receiver = asked.receiver.unwrap_or_default();
        let wanted = NewShare {
            path: path_of(&asked.path)?,
            with: match asked.kind {
                ShareKind::Person => SharedWith::Person(receiver),
                ShareKind::Group => SharedWith::Team(receiver),
                ShareKind::Link => SharedWith::Link,
            },
            permissions: asked.permissions.map(Permissions::of_bits),
            may_download: asked.may_download.unwrap_or(true),
            note: asked.note,
            label: asked.label,
            last_day: asked.last_day.as_deref().map(day_of).transpose()?.flatten(),
            is_endless: asked.endless,
            password: asked
                .password
                .filter(|text| !text.is_empty())
                .map(Secret::new),
            address: asked.address.filter(|text| !text.is_empty()),
            tells: true,
        };
        let share = self.sharing.share(call.caller, wanted).await?;
        self.show_share(call, StatusCode::CREATED, share).await
    }

    /// `PATCH /shares/{id}`: changes a share.
    pub(super) async fn change_share(&self, call: &mut Call<'_>, id: &str) -> ApiResult {
        let asked: ChangeOfShare = call.json().await?;
        let password = asked.password.map(Some);
        let changes = Changes {
            permissions: asked.permissions.map(Permissions::of_bits),
            may_download: asked.may_download,
            note: asked.note,
            label: asked.label,
            last_day: asked.last_day.as_deref().map(day_of).transpose()?,
            password: password.map(|text| text.filter(|text| !text.is_empty()).map(Secret::new)),
            address: asked.address.filter(|text| !text.is_empty()),
        };
        let share = self.sharing.change(call.caller, share_id(id)?, changes);
        let share = share.await?;
        self.show_share(call, StatusCode::OK, share).await
    }

    /// `DELETE /shares/{id}`: ends a share; of one that the caller was given, leaves it.
    pub(super) async fn end_share(
        &self,
        call: &Call<'_>,
        id: &str,
    ) -> Result<Response<Body>, Problem> {
        self.sharing.end(call.caller, share_id(id)?).await?;
        Ok(done())
    }

    async fn show_share(&self, call: &Call<'_>, status: StatusCode, share: Share) -> ApiResult {
        let described = self.share_shapes(call, vec![share]).await?;
        let only = described.first().ok_or_else(Problem::not_found)?;
        secret_json(status, only)
    }

    async fn share_shapes(
        &self,
        call: &Call<'_>,
        shares: Vec<Share>,
    ) -> Result<Vec<ShareShape>, Problem> {
        let nodes: Vec<NodeId> = shares.iter().map(|share| share.node.id).collect();
        let places = self.files.places_of(call.caller, &nodes).await?;
        let with_places = shares.into_iter().zip(places);
        let described = with_places.map(|(share, place)| {
            let path = place.map(|(path, _)| shown(&path));
            self.share_shape(call, share, path)
        });
        Ok(described.collect())
    }

    pub(super) fn share_shape(
        &self,
        call: &Call<'_>,
        share: Share,
        path: Option<String>,
    ) -> ShareShape {
        let is_own = share.sharer == call.caller.user;
        let kind = match share.receiver {
            Receiver::Person(_) => ShareKind::Person,
            Receiver::Team(_) => ShareKind::Group,
            Receiver::Link => ShareKind::Link,
        };
        let last_day = share.expires_at.map(|end| self.sharing.last_day(end));
        let token = share.token.filter(|_| is_own);
        ShareShape {
            id: share.id.0,
            kind,
            receiver: (kind != ShareKind::Link).then(|| share.receiver_shown.into()),
            node: SharedNode {
                id: share.node.id.0,
                kind: kind_of(&share.node),
                name: share.name,
                path,
            },
            may_change: is_own || is_owner(call.caller, &share.owner_shown.name),
            from: share.sharer_shown.into(),
            owner: share.owner_shown.into(),
            permissions: share.permissions.bits(),
            may_download: share.may_download,
            note: share.note,
            label: share.label,
            last_day: last_day.map(|day| day.to_string()),
            made: millis(share.made_at),
            url: token.map(|token| format!("{}/s/{token}", call.base_url)),
            has_password: share.password_hash.is_some(),
            downloads: share.opens,
            last_used: share.opened_at.map(millis),
        }
    }

    /// `GET /people`: people and groups by words of their names; without words, those shared with lately.
    pub(super) async fn find_people(&self, call: &Call<'_>) -> ApiResult {
        let text = call.field("q").unwrap_or_default().trim();
        let found = if text.is_empty() {
            self.identity.recommend_names(call.caller).await?
        } else {
            let question = DirectoryQuestion {
                text,
                wants_people: true,
                wants_teams: true,
                offset: 0,
                limit: PEOPLE_MAX,
            };
            self.identity.find_names(call.caller, &question).await?
        };
        let people = found.exact_people.into_iter().chain(found.people);
        let people = people.filter(|person| person.id != call.caller.user);
        let people = people.map(|person| Found {
            kind: ShareKind::Person,
            detail: Some(person.name.clone()),
            name: person.name,
            display_name: person.display_name,
        });
        let teams = found.exact_teams.into_iter().chain(found.teams);
        let teams = teams.map(|team| Found {
            kind: ShareKind::Group,
            detail: None,
            display_name: team.name.clone(),
            name: team.name,
        });
        let answer = FoundPeople {
            people: people.chain(teams).take(2 * PEOPLE_MAX).collect(),
            more: found.has_more,
        };
        json(StatusCode::OK, &answer)
    }
}

fn is_owner(caller: &Caller, owner: &str) -> bool {
    owner == &*caller.name
}

pub(super) fn share_id(text: &str) -> Result<ShareId, Problem> {
    let number = text.parse().map_err(|_not_a_number| Problem::not_found())?;
    Ok(ShareId(number))
}

/// Reads a day, as `2026-12-31`; empty: none.
fn day_of(text: &str) -> Result<Option<Date>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = text
        .parse()
        .map_err(|_no_day| Problem::bad_field("last_day"))?;
    Ok(Some(day))
}
