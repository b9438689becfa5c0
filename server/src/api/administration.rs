//! What administrators do with a browser: people, groups, links. Who is none never gets here.

use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::call::Call;
use crate::api::call::SELECTION_MAX;
use crate::api::done;
use crate::api::json;
use crate::api::problem::Problem;
use crate::api::secret_json;
use crate::api::shapes::Quota;
use crate::api::shapes::millis;
use crate::api::shares::ShareShape;
use crate::api::shares::share_id;
use crate::identity;
use crate::identity::Account;
use crate::identity::AccountState;
use crate::identity::NewAccount;
use crate::identity::Role;
use crate::identity::SpaceUse;
use crate::identity::Team;
use crate::identity::secret::Secret;
use crate::sharing::LinkFilter;
use crate::sharing::ShareId;

/// People, groups or links of one page.
const PER_PAGE: usize = 100;

/// An account as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountShape {
    /// The sign-in name.
    name: String,
    /// The name that people see.
    display_name: String,
    /// Where mail goes.
    email: Option<String>,
    /// May administer.
    is_admin: bool,
    /// May not sign in.
    is_disabled: bool,
    /// The room of its home.
    quota: Quota,
    /// Its own quota, in bytes; null: the usual one.
    own_quota_bytes: Option<u64>,
    /// When it was made, in milliseconds since 1970.
    made: i64,
    /// The password that was made for it; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// Accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accounts {
    /// They, by name.
    items: Vec<AccountShape>,
    /// What the next page is asked for with; null: there is none.
    next: Option<String>,
}

/// An account to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MakeAccount {
    /// The sign-in name.
    name: String,
    /// The name that people see; null: the sign-in name.
    display_name: Option<String>,
    /// Where mail goes.
    email: Option<String>,
    /// The password; null: one is made.
    password: Option<String>,
    /// May administer.
    #[serde(default)]
    is_admin: bool,
    /// The quota of its home, in bytes; null: the usual one.
    quota_bytes: Option<u64>,
}

/// What shall change of an account; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeOfAccount {
    /// May not sign in.
    is_disabled: Option<bool>,
    /// A new password.
    password: Option<String>,
    /// The quota of its home, in bytes; 0: the usual one.
    quota_bytes: Option<u64>,
}

/// A group as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupShape {
    /// Its name.
    name: String,
    /// How many people belong to it.
    members: u64,
    /// The room of its space.
    quota: Quota,
}

/// Groups.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Groups {
    /// They, by name.
    items: Vec<GroupShape>,
}

/// A group to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MakeGroup {
    /// Its name.
    name: String,
    /// The quota of its space, in bytes; null: the usual one.
    quota_bytes: Option<u64>,
}

/// What somebody is in a group.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoleShape {
    /// Reads.
    Reader,
    /// Reads and writes.
    Member,
    /// Reads, writes, and decides who belongs to it.
    Manager,
}

/// Somebody who belongs to a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberShape {
    /// The sign-in name.
    name: String,
    /// The name that people see.
    display_name: String,
    /// As what.
    role: RoleShape,
}

/// Who belongs to a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Members {
    /// They.
    items: Vec<MemberShape>,
}

/// As what somebody shall belong to a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetRole {
    /// As what.
    role: RoleShape,
}

/// Links of everybody.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Links {
    /// They, the oldest first. Their addresses are not among it: whoever reads one can open it.
    items: Vec<ShareShape>,
    /// What the next page is asked for with; null: there is none.
    next: Option<String>,
}

/// Links to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkIds {
    /// Which.
    ids: Vec<i64>,
}

/// How many links there were.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndedLinks {
    /// How many.
    ended: u64,
}

impl From<Role> for RoleShape {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Reader,
            Role::Member => Self::Member,
            Role::Manager => Self::Manager,
        }
    }
}

impl From<RoleShape> for Role {
    fn from(role: RoleShape) -> Self {
        match role {
            RoleShape::Reader => Self::Reader,
            RoleShape::Member => Self::Member,
            RoleShape::Manager => Self::Manager,
        }
    }
}

impl Api {
    /// Which call of administrators is answered where.
    pub(super) async fn administer(
        &self,
        call: &mut Call<'_>,
        method: &str,
        rest: &[&str],
    ) -> ApiResult {
        match (method, rest) {
            ("GET", ["users"]) => self.list_users(call).await,
            ("POST", ["users"]) => self.make_user(call).await,
            ("PATCH", ["users", name]) => self.change_user(call, name).await,
            ("DELETE", ["users", name]) => self.delete_user(call, name).await,
            ("GET", ["groups"]) => self.list_groups().await,
            ("POST", ["groups"]) => self.make_group(call).await,
            ("DELETE", ["groups", name]) => {
                self.identity.delete_team(name).await?;
                Ok(done())
            }
            ("GET", ["groups", name, "members"]) => self.list_members(name).await,
            ("PUT", ["groups", name, "members", user]) => {
                let asked: SetRole = call.json().await?;
                let role = asked.role.into();
                self.identity.set_member(name, user, role).await?;
                Ok(done())
            }
            ("DELETE", ["groups", name, "members", user]) => {
                self.identity.remove_member(name, user).await?;
                Ok(done())
            }
            ("GET", ["links"]) => self.list_links(call).await,
            ("POST", ["links", "end"]) => self.end_links(call).await,
            _ => Err(Problem::no_such_call()),
        }
    }

    fn quota_shape(&self, held: SpaceUse) -> Quota {
        self.files.quota_of(held).into()
    }

    fn account_shape(&self, account: Account) -> AccountShape {
        AccountShape {
            is_disabled: account.state != AccountState::Active,
            own_quota_bytes: match account.home_use.quota {
                identity::Quota::Bytes(bytes) => Some(bytes),
                identity::Quota::Default | identity::Quota::Unlimited => None,
            },
            quota: self.quota_shape(account.home_use),
            made: millis(account.created_at),
            name: account.name,
            display_name: account.display_name,
            email: account.email,
            is_admin: account.is_admin,
            password: None,
        }
    }

    /// `GET /admin/users`: accounts by a part of their names.
    async fn list_users(&self, call: &Call<'_>) -> ApiResult {
        let text = call.field("q").unwrap_or_default().trim();
        let offset = match call.field("after") {
            Some(_) => call.number("after")?,
            None => 0_usize,
        };
        let found = self
            .identity
            .search_accounts(text, offset, PER_PAGE)
            .await?;
        let next = (found.len() >= PER_PAGE).then(|| (offset + PER_PAGE).to_string());
        let items = found.into_iter().map(|account| self.account_shape(account));
        let items = items.collect();
        json(StatusCode::OK, &Accounts { items, next })
    }

    /// `POST /admin/users`: makes an account.
    async fn make_user(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: MakeAccount = call.json().await?;
        let given = asked.password.filter(|text| !text.is_empty());
        let is_given = given.is_some();
        let password = given.map_or_else(Secret::random_password, Secret::new);
        let new = NewAccount {
            name: asked.name.trim(),
            password: &password,
            display_name: asked
                .display_name
                .as_deref()
                .filter(|text| !text.is_empty()),
            email: asked.email.as_deref().filter(|text| !text.is_empty()),
            is_admin: asked.is_admin,
            quota: match asked.quota_bytes {
                None | Some(0) => identity::Quota::Default,
                Some(bytes) => identity::Quota::Bytes(bytes),
            },
        };
        let account = self.identity.create_account(&new).await?;
        let mut shape = self.account_shape(account);
        shape.password = (!is_given).then(|| password.reveal().to_owned());
        secret_json(StatusCode::CREATED, &shape)
    }

    /// `PATCH /admin/users/{name}`: changes an account.
    async fn change_user(&self, call: &mut Call<'_>, name: &str) -> ApiResult {
        let asked: ChangeOfAccount = call.json().await?;
        if asked.is_disabled == Some(true) && name.eq_ignore_ascii_case(&call.caller.name) {
            return Err(Problem::oneself());
        }
        if let Some(is_disabled) = asked.is_disabled {
            self.identity.set_disabled(name, is_disabled).await?;
        }
        if let Some(password) = asked.password {
            let password = Secret::new(password);
            self.identity.set_password(name, &password).await?;
        }
        if let Some(bytes) = asked.quota_bytes {
            let home = self.identity.find_account(name).await?.home;
            let quota = match bytes {
                0 => identity::Quota::Default,
                bytes => identity::Quota::Bytes(bytes),
            };
            self.identity.set_quota(home, quota).await?;
        }
        let account = self.identity.find_account(name).await?;
        json(StatusCode::OK, &self.account_shape(account))
    }

    /// `DELETE /admin/users/{name}`: archives an account for 30 days; `hand_to` gets its files.
    async fn delete_user(&self, call: &Call<'_>, name: &str) -> ApiResult {
        if name.eq_ignore_ascii_case(&call.caller.name) {
            return Err(Problem::oneself());
        }
        let default = self.settings.quota_default_bytes;
        self.identity
            .delete_account(name, call.field("hand_to"), default)
            .await?;
        Ok(done())
    }

    fn group_shape(&self, team: Team) -> GroupShape {
        GroupShape {
            quota: self.quota_shape(team.space_use),
            members: team.members,
            name: team.name,
        }
    }

    /// `GET /admin/groups`: all groups.
    async fn list_groups(&self) -> ApiResult {
        let teams = self.identity.list_teams().await?.into_iter();
        let items = teams.map(|team| self.group_shape(team)).collect();
        json(StatusCode::OK, &Groups { items })
    }

    /// `POST /admin/groups`: makes a group with a space.
    async fn make_group(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: MakeGroup = call.json().await?;
        let quota = match asked.quota_bytes {
            None | Some(0) => identity::Quota::Default,
            Some(bytes) => identity::Quota::Bytes(bytes),
        };
        let name = asked.name.trim();
        self.identity.create_team(name, quota).await?;
        let team = self.identity.find_team(name).await?;
        json(StatusCode::CREATED, &self.group_shape(team))
    }

    /// `GET /admin/groups/{name}/members`: who belongs to a group.
    async fn list_members(&self, name: &str) -> ApiResult {
        let team = self.identity.find_team(name).await?;
        let members = self.identity.list_members(team.id).await?;
        let items = members.into_iter().map(|member| MemberShape {
            name: member.name,
            display_name: member.display_name,
            role: member.role.into(),
        });
        let items = items.collect();
        json(StatusCode::OK, &Members { items })
    }

    /// `GET /admin/links`: links of everybody, the oldest first.
    async fn list_links(&self, call: &Call<'_>) -> ApiResult {
        let after = match call.field("after") {
            Some(_) => ShareId(call.number("after")?),
            None => ShareId(0),
        };
        let filter = LinkFilter {
            without_password: call.fields("without").any(|what| what == "password"),
            without_end: call.fields("without").any(|what| what == "end"),
        };
        let (links, next) = self
            .sharing
            .list_links(call.caller, filter, after, PER_PAGE)
            .await?;
        let shapes = links
            .into_iter()
            .map(|link| self.share_shape(call, link, None));
        let items = shapes
            .map(|mut shape| {
                shape.hide_address();
                shape
            })
            .collect();
        let next = next.map(|next| next.0.to_string());
        json(StatusCode::OK, &Links { items, next })
    }

    /// `POST /admin/links/end`: ends links.
    async fn end_links(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: LinkIds = call.json().await?;
        if asked.ids.len() > SELECTION_MAX {
            return Err(Problem::too_many(SELECTION_MAX));
        }
        let ids = asked.ids.iter().map(|id| share_id(&id.to_string()));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let ended = self.sharing.end_links(call.caller, ids).await?;
        json(StatusCode::OK, &EndedLinks { ended })
    }
}
