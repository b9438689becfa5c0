//! The description of this interface (OpenAPI 3.1), made from the types that are read and written.
//!
//! The table of calls stands here once more, with what each needs and gives; a test compares it with the table by
//! which calls are answered, and `docs/reference/openapi.json` with what is made here.

use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::ComponentsBuilder;
use utoipa::openapi::ContentBuilder;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::InfoBuilder;
use utoipa::openapi::OpenApi;
use utoipa::openapi::OpenApiBuilder;
use utoipa::openapi::PathsBuilder;
use utoipa::openapi::Ref;
use utoipa::openapi::RefOr;
use utoipa::openapi::Required;
use utoipa::openapi::ResponseBuilder;
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::path::ParameterBuilder;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::schema::Type;

use crate::api::PREFIX;
use crate::api::account;
use crate::api::administration as admin;
use crate::api::arrange;
use crate::api::browse;
use crate::api::history;
use crate::api::know;
use crate::api::problem;
use crate::api::shapes;
use crate::api::shares;
use crate::api::uploads;

/// Types by their names, gathered while calls are described.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// What goes one way.
enum Load {
    Nothing,
    Json(fn(&mut Schemas) -> String),
    Bytes(&'static str),
}

/// One call.
struct CallRow {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Fields of the address; those with a `!` must be there.
    query: &'static [&'static str],
    takes: Load,
    gives: (&'static str, Load),
}

/// Notes a type and those that it is made of; returns its name.
fn of<T: ToSchema + PartialSchema>(schemas: &mut Schemas) -> String {
    T::schemas(schemas);
    let name = T::name().into_owned();
    schemas.push((name.clone(), T::schema()));
    name
}

const NOTHING: Load = Load::Nothing;
const FILE: Load = Load::Bytes("application/octet-stream");

const fn json<T: ToSchema + PartialSchema>() -> Load {
    Load::Json(of::<T>)
}

macro_rules! call {
    ($method:literal $path:literal $summary:literal $query:expr, $takes:expr => $status:literal $gives:expr) => {
        CallRow {
            method: $method,
            path: $path,
            summary: $summary,
            query: $query,
            takes: $takes,
            gives: ($status, $gives),
        }
    };
}

/// All calls, in the order of the table by which they are answered.
const CALLS: &[CallRow] = &[
    call!("GET" "/session" "Who is signed in" &[], NOTHING => "200" json::<account::Session>()),
    call!("DELETE" "/session" "Signs this browser out" &[], NOTHING => "204" NOTHING),
    call!("GET" "/sessions" "Browsers that are signed in" &[], NOTHING => "200" json::<account::Sessions>()),
    call!("DELETE" "/sessions/{id}" "Signs a browser out" &[], NOTHING => "204" NOTHING),
    call!("GET" "/devices" "Devices and programs with an app password" &[], NOTHING => "200" json::<account::Devices>()),
    call!("POST" "/devices" "Makes an app password" &[], json::<account::AddDevice>() => "201" json::<account::AddedDevice>()),
    call!("DELETE" "/devices/{id}" "Ends an app password; wipe=1 has its device delete its files" &["wipe"], NOTHING => "204" NOTHING),
    call!("POST" "/password" "A new password for the caller" &[], json::<account::ChangePassword>() => "204" NOTHING),
    call!("GET" "/list" "A folder and its children, in columns" &["path"], NOTHING => "200" json::<browse::Folder>()),
    call!("GET" "/node" "One file or folder, by path or number" &["path", "id"], NOTHING => "200" json::<shapes::NodeShape>()),
    call!("GET" "/search" "What has these words in its name, at and below a folder" &["q!", "path", "after"], NOTHING => "200" json::<shapes::Nodes>()),
    call!("GET" "/recent" "The files that were modified last" &[], NOTHING => "200" json::<shapes::Nodes>()),
    call!("GET" "/favorites" "What the caller marked" &["after"], NOTHING => "200" json::<shapes::Nodes>()),
    call!("POST" "/favorites" "Marks things, or no longer" &[], json::<browse::MarkFavorites>() => "200" json::<arrange::Outcomes>()),
    call!("GET" "/events" "Tells of changes as server-sent events: changed, bye" &[], NOTHING => "200" Load::Bytes("text/event-stream")),
    call!("GET" "/content" "The bytes of a file; ranges; as=inline to show it" &["path!", "as"], NOTHING => "200" FILE),
    call!("PUT" "/content" "Makes the body the content of a file; If-Match, If-None-Match, X-Nuage-Modified" &["path!"], FILE => "201" json::<shapes::NodeShape>()),
    call!("GET" "/archive" "A folder, or the named children of it, as one ZIP file" &["path", "name"], NOTHING => "200" Load::Bytes("application/zip")),
    call!("POST" "/archive" "The same by a form with the fields mark, path and name, for up to a thousand children" &[], Load::Bytes("application/x-www-form-urlencoded") => "200" Load::Bytes("application/zip")),
    call!("GET" "/preview" "A small picture of a file; crop=1 fills the sides" &["id!", "width", "height", "crop"], NOTHING => "200" Load::Bytes("image/*")),
    call!("POST" "/uploads" "Begins an upload in parts" &[], json::<uploads::BeginUpload>() => "201" json::<uploads::Begun>()),
    call!("GET" "/uploads/{id}" "Which parts are there" &[], NOTHING => "200" json::<uploads::PartList>()),
    call!("PUT" "/uploads/{id}/{number}" "Takes a part in, from 1; may be repeated" &[], FILE => "204" NOTHING),
    call!("POST" "/uploads/{id}" "Makes the parts a file; may be repeated" &[], json::<uploads::JoinParts>() => "201" json::<shapes::NodeShape>()),
    call!("DELETE" "/uploads/{id}" "Gives an upload up" &[], NOTHING => "204" NOTHING),
    call!("POST" "/folders" "Makes a folder" &[], json::<arrange::MakeFolder>() => "201" json::<shapes::NodeShape>()),
    call!("POST" "/move" "Moves or renames things" &[], json::<arrange::Steps>() => "200" json::<arrange::Outcomes>()),
    call!("POST" "/copy" "Copies things without copying contents" &[], json::<arrange::Steps>() => "200" json::<arrange::Outcomes>()),
    call!("POST" "/delete" "Moves things to the trash; what was given to the caller is left" &[], json::<arrange::Paths>() => "200" json::<arrange::Outcomes>()),
    call!("GET" "/trash" "What was deleted, the newest first" &["after"], NOTHING => "200" json::<history::Trash>()),
    call!("POST" "/trash/restore" "Brings things back" &[], json::<history::TrashIds>() => "200" json::<arrange::Outcomes>()),
    call!("POST" "/trash/discard" "Deletes things for good" &[], json::<history::TrashIds>() => "200" json::<arrange::Outcomes>()),
    call!("POST" "/trash/empty" "Deletes everything in the trash for good" &[], NOTHING => "204" NOTHING),
    call!("GET" "/versions" "A file's former versions" &["id!"], NOTHING => "200" json::<history::Versions>()),
    call!("GET" "/versions/content" "The bytes of a former version" &["id!", "number!", "as"], NOTHING => "200" FILE),
    call!("POST" "/versions/restore" "Makes a former version the current one" &[], json::<history::VersionOf>() => "200" json::<shapes::NodeShape>()),
    call!("POST" "/versions/label" "Names a former version" &[], json::<history::LabelOf>() => "204" NOTHING),
    call!("POST" "/versions/discard" "Deletes a former version for good" &[], json::<history::VersionOf>() => "204" NOTHING),
    call!("GET" "/shares" "Shares of a node, given (which=mine) or received (which=to-me)" &["path", "which"], NOTHING => "200" json::<shares::Shares>()),
    call!("POST" "/shares" "Shares something" &[], json::<shares::MakeShare>() => "201" json::<shares::ShareShape>()),
    call!("PATCH" "/shares/{id}" "Changes a share" &[], json::<shares::ChangeOfShare>() => "200" json::<shares::ShareShape>()),
    call!("DELETE" "/shares/{id}" "Ends a share, or leaves it" &[], NOTHING => "204" NOTHING),
    call!("GET" "/people" "People and groups by words of their names" &["q"], NOTHING => "200" json::<shares::FoundPeople>()),
    call!("GET" "/who" "Who can see a file or folder, in one sentence" &["path"], NOTHING => "200" json::<know::WhoCanSee>()),
    call!("GET" "/activity" "What happened to what the caller can see, or to one file or folder" &["path", "after"], NOTHING => "200" json::<know::Happenings>()),
    call!("GET" "/admin/users" "Accounts by a part of their names" &["q", "after"], NOTHING => "200" json::<admin::Accounts>()),
    call!("POST" "/admin/users" "Makes an account" &[], json::<admin::MakeAccount>() => "201" json::<admin::AccountShape>()),
    call!("PATCH" "/admin/users/{name}" "Changes an account" &[], json::<admin::ChangeOfAccount>() => "200" json::<admin::AccountShape>()),
    call!("DELETE" "/admin/users/{name}" "Archives an account for 30 days; hand_to gets its files" &["hand_to"], NOTHING => "204" NOTHING),
    call!("GET" "/admin/groups" "All groups" &[], NOTHING => "200" json::<admin::Groups>()),
    call!("POST" "/admin/groups" "Makes a group with a space" &[], json::<admin::MakeGroup>() => "201" json::<admin::GroupShape>()),
    call!("DELETE" "/admin/groups/{name}" "Archives a group and its space for 30 days" &[], NOTHING => "204" NOTHING),
    call!("GET" "/admin/groups/{name}/members" "Who belongs to a group" &[], NOTHING => "200" json::<admin::Members>()),
    call!("PUT" "/admin/groups/{name}/members/{user}" "Adds somebody, or changes their role" &[], json::<admin::SetRole>() => "204" NOTHING),
    call!("DELETE" "/admin/groups/{name}/members/{user}" "Takes somebody out" &[], NOTHING => "204" NOTHING),
    call!("GET" "/admin/links" "Links of everybody, the oldest first; without=password, without=end" &["without", "after"], NOTHING => "200" json::<admin::Links>()),
    call!("POST" "/admin/links/end" "Ends links" &[], json::<admin::LinkIds>() => "200" json::<admin::EndedLinks>()),
];

/// Returns the description as JSON, with a line's end behind it.
pub fn openapi() -> String {
    let mut text = description().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn description() -> OpenApi {
    let mut schemas = Schemas::new();
    let problem = of::<problem::ProblemDocument>(&mut schemas);
    let mut paths = PathsBuilder::new();
    for row in CALLS {
        let method = match row.method {
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "PATCH" => HttpMethod::Patch,
            "DELETE" => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        let operation = operation(row, &problem, &mut schemas);
        let path = format!("{PREFIX}{}", row.path);
        paths = paths.path(path, PathItem::new(method, operation));
    }
    schemas.sort_by(|one, other| one.0.cmp(&other.0));
    schemas.dedup_by(|one, other| one.0 == other.0);
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
    let info = InfoBuilder::new()
        .title("Nuage: what the web page asks")
        .version("1")
        .description(Some(
            "Callers are signed in by cookie. A call that is not GET carries the mark of GET /session in X-Nuage-Mark. \
             Failures are problem documents (RFC 9457).",
        ))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths.build())
        .components(Some(components))
        .build()
}

fn operation(row: &CallRow, problem: &str, schemas: &mut Schemas) -> OperationBuilder {
    let mut operation = OperationBuilder::new()
        .summary(Some(row.summary))
        .operation_id(Some(operation_id(row)));
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let in_path = row.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?;
        name.strip_suffix('}')
    });
    for name in in_path {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(text()));
        operation = operation.parameter(parameter);
    }
    for field in row.query {
        let needed = field.strip_suffix('!');
        let parameter = ParameterBuilder::new()
            .name(needed.unwrap_or(field))
            .parameter_in(ParameterIn::Query)
            .required(match needed {
                Some(_) => Required::True,
                None => Required::False,
            })
            .schema(Some(text()));
        operation = operation.parameter(parameter);
    }
    if let Some((form, content)) = content(&row.takes, schemas) {
        let body = RequestBodyBuilder::new()
            .content(form, content)
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let (status, gives) = &row.gives;
    let mut response = ResponseBuilder::new().description("Done");
    if let Some((form, content)) = self::content(gives, schemas) {
        response = response.content(form, content);
    }
    let refusal = ContentBuilder::new().schema(Some(Ref::from_schema_name(problem)));
    let refusal = ResponseBuilder::new()
        .description("Why not")
        .content("application/problem+json", refusal.build());
    operation
        .response(*status, response.build())
        .response("default", refusal.build())
}

fn content(load: &Load, schemas: &mut Schemas) -> Option<(&'static str, utoipa::openapi::Content)> {
    match load {
        Load::Nothing => None,
        Load::Json(of) => {
            let name = of(schemas);
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(name)));
            Some(("application/json", content.build()))
        }
        Load::Bytes(form) => Some((form, ContentBuilder::new().build())),
    }
}

/// Returns a name for a call: `get-uploads-id`.
fn operation_id(row: &CallRow) -> String {
    let words = row.path.split('/').filter(|word| !word.is_empty());
    words.fold(row.method.to_lowercase(), |name, word| {
        format!("{name}-{}", word.trim_matches(['{', '}']))
    })
}

#[cfg(test)]
mod tests {
    use super::CALLS;

    /// The calls that a table of `match` answers, written as the description writes them.
    fn answered(source: &str, prefix: &str) -> Vec<String> {
        let lines = source.lines().map(str::trim);
        let rows = lines.filter_map(|line| {
            let row = line.strip_prefix("(\"")?;
            let (method, rest) = row.split_once("\", [")?;
            let (segments, _) = rest.split_once("])")?;
            let segments = segments.split(", ").map(|segment| {
                let plain = segment
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'));
                plain.map_or_else(|| format!("{{{segment}}}"), str::to_owned)
            });
            let path: Vec<String> = segments.collect();
            Some(format!("{method} {prefix}/{}", path.join("/")))
        });
        rows.collect()
    }

    #[test]
    fn every_call_that_is_answered_is_described_and_no_other() {
        let mut answered_here = answered(include_str!("mod.rs"), "");
        answered_here.extend(answered(include_str!("administration.rs"), "/admin"));
        let mut described: Vec<String> = CALLS
            .iter()
            .map(|row| format!("{} {}", row.method, row.path))
            .collect();
        answered_here.sort();
        described.sort();
        assert!(answered_here.len() > 50, "{answered_here:?}");
        assert_eq!(answered_here, described);
    }
}
