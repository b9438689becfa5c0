//! Links: who has one sees what it leads to and nothing else, by page and by WebDAV.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::browser::Browser;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use nuage_tests::http::basic;

use crate::sharing::call;
use crate::sharing::data;
use crate::sharing::today;

/// A link as its maker knows it.
struct Link {
    id: String,
    token: String,
}

impl Link {
    /// Makes a link; `form` says what it shall be beside that.
    #[track_caller]
    fn make(maker: &User, path: &str, form: &[(&str, &str)]) -> Self {
        let mut all = vec![("path", path), ("shareType", "3")];
        all.extend_from_slice(form);
        let made = data(&call(maker, "POST", "shares", &all).expect(200));
        let token = made["token"].as_str().unwrap().to_owned();
        let url = made["url"].as_str().unwrap();
        assert!(url.ends_with(&format!("/s/{token}")), "{url}");
        assert!(token.len() >= 26, "{token} has fewer than 128 bits");
        Self {
            id: made["id"].as_str().unwrap().to_owned(),
            token,
        }
    }

    fn page(&self) -> String {
        format!("/s/{}", self.token)
    }

    /// Begins a request by WebDAV, at the address with the token in it.
    fn dav(&self, method: &str, path: &str) -> Request {
        Request::new(
            method,
            &format!("/public.php/dav/files/{}{path}", self.token),
        )
    }

    /// Begins the same at the address of long ago.
    fn old_dav(&self, method: &str, path: &str, password: &str) -> Request {
        let target = format!("/public.php/webdav{path}");
        let credentials = basic(&self.token, password);
        Request::new(method, &target).header("Authorization", &credentials)
    }
}

fn names(server: &TestServer, request: Request) -> Vec<String> {
    let listed = server.anonymous(request.header("Depth", "1")).multistatus();
    let hrefs = listed.hrefs().into_iter().skip(1);
    let last = |href: &str| {
        href.trim_end_matches('/')
            .rsplit('/')
            .next()
            .map(str::to_owned)
    };
    hrefs.filter_map(last).collect()
}

fn course(ann: &User) {
    ann.folders("/Cours/sub");
    ann.put("/Cours/plan.txt", "the plan").send().expect(201);
    ann.put("/Cours/sub/deep.txt", "deep").send().expect(201);
    ann.put("/private.txt", "private").send().expect(201);
}

#[test]
fn a_link_shows_a_folder_on_a_page_and_by_webdav() {
    let server = TestServer::start();
    let ann = server.user_with("ann", &["--display-name", "Ann <b>"]);
    course(&ann);
    let link = Link::make(&ann, "/Cours", &[("label", "For <i>all</i>")]);
    for front in ["", "/index.php"] {
        let page = server.anonymous(Request::new("GET", &format!("{front}{}", link.page())));
        let page = page.expect(200).text();
        for part in [
            "For &lt;i&gt;all&lt;/i&gt;",
            "Ann &lt;b&gt;",
            "plan.txt",
            "sub/",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("private"), "{page}");
    }
    let french = Request::new("GET", &link.page()).header("Accept-Language", "fr");
    assert!(server.anonymous(french).text().contains("Partagé par"));
    let mut browser = Browser::new(&server);
    let sub = browser
        .open(&format!("{}?path=%2Fsub", link.page()))
        .expect(200);
    assert!(sub.text().contains("deep.txt"));
    let file = browser.open(&format!("{}/download?path=%2Fsub%2Fdeep.txt", link.page()));
    assert_eq!(file.expect(200).text(), "deep");
    let part = Request::new("GET", &format!("{}/download?path=plan.txt", link.page()));
    let part = server
        .anonymous(part.header("Range", "bytes=4-7"))
        .expect(206);
    assert_eq!(part.text(), "plan");

    assert_eq!(
        names(&server, link.dav("PROPFIND", "/")),
        ["sub", "plan.txt"]
    );
    assert_eq!(
        names(&server, link.old_dav("PROPFIND", "/", "")),
        ["sub", "plan.txt"]
    );
    let whole = server.anonymous(link.dav("GET", "/plan.txt")).expect(200);
    assert_eq!(whole.text(), "the plan");
    let old = server
        .anonymous(link.old_dav("GET", "/sub/deep.txt", ""))
        .expect(200);
    assert_eq!(old.text(), "deep");
    // To look is not to touch.
    for (method, path) in [
        ("PUT", "/plan.txt"),
        ("PUT", "/new.txt"),
        ("MKCOL", "/new"),
        ("DELETE", "/plan.txt"),
        ("DELETE", "/"),
        ("PROPPATCH", "/plan.txt"),
        ("LOCK", "/plan.txt"),
    ] {
        let xml = "<?xml version=\"1.0\"?><d:propertyupdate xmlns:d=\"DAV:\"><d:set><d:prop>\
            <x xmlns=\"urn:x\">1</x></d:prop></d:set></d:propertyupdate>";
        let lock = "<?xml version=\"1.0\"?><d:lockinfo xmlns:d=\"DAV:\"><d:lockscope><d:exclusive/>\
            </d:lockscope><d:locktype><d:write/></d:locktype></d:lockinfo>";
        let body = match method {
            "PROPPATCH" => xml,
            "LOCK" => lock,
            "MKCOL" | "DELETE" => "",
            _ => "changed",
        };
        let mut request = link.dav(method, path);
        if method == "LOCK" {
            request = request.header("Depth", "0");
        }
        server.anonymous(request.body(body)).expect(403);
    }
    for path in [
        "/../private.txt",
        "/%2e%2e/private.txt",
        "/..%2fprivate.txt",
    ] {
        let answer = server.anonymous(link.dav("GET", path));
        assert!(answer.status == 400 || answer.status == 404, "{answer}");
    }
    let outside = "http://nuage.test/dav/private.txt";
    let copy = link.dav("COPY", "/plan.txt").header("Destination", outside);
    server.anonymous(copy).expect(502);
    // Used, and counted.
    let shown = || data(&call(&ann, "GET", &format!("shares/{}", link.id), &[]).expect(200));
    assert_eq!(shown()[0]["permissions"], 1);
    call(&ann, "DELETE", &format!("shares/{}", link.id), &[]).expect(200);
    assert_gone(&server, &link);
    let log = server.log();
    assert!(!log.contains(&link.token), "the token is in the log");
}

/// A link that is gone and one that never was get the same answer.
#[track_caller]
fn assert_gone(server: &TestServer, link: &Link) {
    let never = Link {
        id: String::new(),
        token: "abcdefghijkmnpqrstuvwxyz23".to_owned(),
    };
    let strip = |answer: Answer, token: &str| (answer.status, answer.text().replace(token, "T"));
    let same = |of: &dyn Fn(&Link) -> Request| {
        let gone = strip(server.anonymous(of(link)), &link.token);
        let unknown = strip(server.anonymous(of(&never)), &never.token);
        assert_eq!(gone, unknown);
        assert_eq!(gone.0, 404);
    };
    same(&|link| Request::new("GET", &link.page()));
    same(&|link| Request::new("GET", &format!("{}/download", link.page())));
    same(&|link| link.dav("PROPFIND", "/"));
    same(&|link| link.dav("GET", "/plan.txt"));
    same(&|link| link.old_dav("GET", "/plan.txt", ""));
}

#[test]
fn a_password_is_asked_for_by_page_and_by_webdav() {
    let server = TestServer::start();
    let ann = server.user("ann");
    course(&ann);
    let link = Link::make(&ann, "/Cours", &[("password", "Sésame 1")]);
    let shown = data(&call(&ann, "GET", &format!("shares/{}", link.id), &[]));
    let password = shown[0]["password"].as_str().unwrap();
    assert!(!password.contains("argon2") && !password.is_empty());

    let mut browser = Browser::new(&server);
    let page = browser.open(&link.page()).expect(200);
    assert!(!page.text().contains("plan.txt") && !page.text().contains("Cours"));
    browser
        .open(&format!("{}/download?path=plan.txt", link.page()))
        .expect(200);
    let wrong = browser
        .post(&link.page(), &[("password", "sesame")])
        .expect(403);
    assert!(wrong.text().contains("role=\"alert\""));
    browser
        .post(&link.page(), &[("password", "Sésame 1")])
        .expect(303);
    let page = browser.open(&link.page()).expect(200);
    assert!(page.text().contains("plan.txt"), "{page}");
    let file = browser.open(&format!("{}/download?path=plan.txt", link.page()));
    assert_eq!(file.expect(200).text(), "the plan");
    // What a browser keeps opens this link alone.
    let other = Link::make(&ann, "/Cours/sub", &[("password", "other")]);
    assert!(
        !browser
            .open(&other.page())
            .expect(200)
            .text()
            .contains("deep.txt")
    );

    let challenged = server.anonymous(link.dav("PROPFIND", "/")).expect(401);
    assert!(
        challenged
            .header("www-authenticate")
            .unwrap()
            .starts_with("Basic")
    );
    let with = |password: &str| {
        link.dav("GET", "/plan.txt")
            .header("Authorization", &basic("anonymous", password))
    };
    server.anonymous(with("wrong")).expect(401);
    assert_eq!(
        server.anonymous(with("Sésame 1")).expect(200).text(),
        "the plan"
    );
    server
        .anonymous(link.old_dav("GET", "/plan.txt", ""))
        .expect(401);
    let old = server.anonymous(link.old_dav("GET", "/plan.txt", "Sésame 1"));
    assert_eq!(old.expect(200).text(), "the plan");

    // Another password: what was known before opens nothing.
    let place = format!("shares/{}", link.id);
    call(&ann, "PUT", &place, &[("password", "new one")]).expect(200);
    assert!(!browser.open(&link.page()).text().contains("plan.txt"));
    server.anonymous(with("Sésame 1")).expect(401);
    call(&ann, "PUT", &place, &[("password", "")]).expect(200);
    server.anonymous(link.dav("GET", "/plan.txt")).expect(200);
}

#[test]
fn guesses_at_a_password_are_slowed_down() {
    let server = TestServer::start();
    let ann = server.user("ann");
    course(&ann);
    let link = Link::make(&ann, "/Cours", &[("password", "secret")]);
    let mut browser = Browser::new(&server);
    let mut statuses = Vec::new();
    for guess in 0..12 {
        let guess = format!("guess {guess}");
        statuses.push(browser.post(&link.page(), &[("password", &guess)]).status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let right = browser.post(&link.page(), &[("password", "secret")]);
    assert_eq!(right.status, 429, "even the right one waits");
    assert!(right.header("retry-after").is_some());
}

#[test]
fn guesses_at_tokens_are_slowed_down_and_known_ones_are_not() {
    let server = TestServer::start();
    let ann = server.user("ann");
    course(&ann);
    let link = Link::make(&ann, "/Cours", &[]);
    let mut last = 0;
    for guess in 0..40 {
        let target = format!("/s/guess-{guess}");
        last = server.anonymous(Request::new("GET", &target)).status;
    }
    assert_eq!(last, 429);
    let wrong = Request::new("GET", "/public.php/dav/files/guess/x");
    server.anonymous(wrong).expect(429);
    server
        .anonymous(Request::new("GET", &link.page()))
        .expect(200);
}

#[test]
fn a_link_to_change_changes_and_stays_inside() {
    let server = TestServer::start();
    let ann = server.user_with("ann", &["--quota", "100KB"]);
    course(&ann);
    let link = Link::make(&ann, "/Cours", &[("permissions", "15")]);
    server
        .anonymous(link.dav("PUT", "/new.txt").body("new"))
        .expect(201);
    server
        .anonymous(link.dav("PUT", "/plan.txt").body("newer"))
        .expect(204);
    server.anonymous(link.dav("MKCOL", "/made")).expect(201);
    let to = format!(
        "http://nuage.test/public.php/dav/files/{}/made/moved.txt",
        link.token
    );
    let moved = link.dav("MOVE", "/new.txt").header("Destination", &to);
    server.anonymous(moved).expect(201);
    assert_eq!(ann.get("/Cours/made/moved.txt").send().text(), "new");
    server
        .anonymous(link.dav("DELETE", "/made/moved.txt"))
        .expect(204);
    server.anonymous(link.dav("DELETE", "/")).expect(403);
    let away = link.dav("MOVE", "/").header("Destination", &to);
    server.anonymous(away).expect(403);
    server
        .anonymous(link.dav("PUT", "/big.bin").body(vec![0; 110_000]))
        .expect(507);
    // Not what the owner has, only what is free.
    let quota = "<?xml version=\"1.0\"?><d:propfind xmlns:d=\"DAV:\"><d:prop>\
        <d:quota-used-bytes/></d:prop></d:propfind>";
    let request = link.dav("PROPFIND", "/").header("Depth", "0").body(quota);
    let used = server.anonymous(request).multistatus();
    let used = used.entries[0]
        .text("{DAV:}quota-used-bytes")
        .unwrap()
        .to_owned();
    assert_eq!(used, "9", "of the folder alone");
    // The trash, the tags and the uploads are not part of it.
    for method in ["REPORT", "SEARCH"] {
        let body = "<?xml version=\"1.0\"?><oc:filter-files xmlns:oc=\"http://owncloud.org/ns\" \
            xmlns:d=\"DAV:\"><oc:filter-rules><oc:favorite>1</oc:favorite></oc:filter-rules>\
            </oc:filter-files>";
        let answer = server.anonymous(link.dav(method, "/").body(body));
        assert!(answer.status >= 400, "{answer}");
    }
    server.assert_clean();
}

#[test]
fn a_folder_to_send_into_takes_everything_and_shows_nothing() {
    let server = TestServer::start();
    let ann = server.user("ann");
    course(&ann);
    let link = Link::make(&ann, "/Cours", &[("permissions", "4")]);
    for round in ["one", "two", "three"] {
        let sent = server
            .anonymous(link.dav("PUT", "/plan.txt").body(round))
            .expect(201);
        assert_eq!(sent.header("oc-fileid"), None);
        assert_eq!(sent.header("etag"), None);
    }
    let mut all = ann.names("/Cours");
    all.sort();
    assert_eq!(
        all,
        [
            "plan (2).txt",
            "plan (3).txt",
            "plan (4).txt",
            "plan.txt",
            "sub"
        ]
    );
    assert_eq!(ann.get("/Cours/plan.txt").send().text(), "the plan");
    assert_eq!(ann.get("/Cours/plan (2).txt").send().text(), "one");
    for method in [
        "GET", "HEAD", "PROPFIND", "DELETE", "MKCOL", "LOCK", "REPORT", "COPY",
    ] {
        let to = format!("http://nuage.test/public.php/dav/files/{}/x", link.token);
        let request = link.dav(method, "/plan.txt").header("Destination", &to);
        server.anonymous(request).expect(405);
    }
    let named = link
        .dav("PUT", "/work.txt")
        .header("X-NC-Nickname", "L%C3%A9a");
    server.anonymous(named.body("by Léa")).expect(201);
    assert_eq!(ann.get("/Cours/Léa/work.txt").send().text(), "by Léa");
    let upwards = link.dav("PUT", "/x").header("X-NC-Nickname", "..%2F..");
    server.anonymous(upwards.body("x")).expect(400);

    // By the page.
    let mut browser = Browser::new(&server);
    let page = browser.open(&link.page()).expect(200).text();
    assert!(
        !page.contains("sub") && !page.contains("work.txt"),
        "{page}"
    );
    let form = "--b\r\nContent-Disposition: form-data; name=\"own\"\r\n\r\nNoé\r\n\
        --b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"../../copie <1>.txt\"\r\n\r\n\
        mine\r\n--b--\r\n";
    let request = Request::new("POST", &link.page())
        .header("Content-Type", "multipart/form-data; boundary=b")
        .body(form);
    let receipt = server.anonymous(request).expect(200).text();
    assert!(receipt.contains("copie &lt;1&gt;.txt"), "{receipt}");
    assert_eq!(ann.get("/Cours/Noé/copie <1>.txt").send().text(), "mine");
    // A plain link takes nothing in.
    let plain = Link::make(&ann, "/Cours", &[]);
    let request = Request::new("POST", &plain.page())
        .header("Content-Type", "multipart/form-data; boundary=b")
        .body(form);
    server.anonymous(request).expect(405);
    let on_a_file = [
        ("path", "/private.txt"),
        ("shareType", "3"),
        ("permissions", "4"),
    ];
    call(&ann, "POST", "shares", &on_a_file).expect(400);
}

#[test]
fn a_link_to_a_file_is_that_file() {
    let server = TestServer::start();
    let ann = server.user("ann");
    course(&ann);
    let link = Link::make(&ann, "/private.txt", &[]);
    assert_eq!(
        server.anonymous(link.dav("GET", "")).expect(200).text(),
        "private"
    );
    assert_eq!(
        server
            .anonymous(link.old_dav("GET", "/", ""))
            .expect(200)
            .text(),
        "private"
    );
    let mut browser = Browser::new(&server);
    assert!(
        browser
            .open(&link.page())
            .expect(200)
            .text()
            .contains("private.txt")
    );
    let file = browser
        .open(&format!("{}/download", link.page()))
        .expect(200);
    assert_eq!(file.text(), "private");
    assert!(
        file.header("content-disposition")
            .unwrap()
            .contains("private.txt")
    );
    server
        .anonymous(link.dav("GET", "/Cours/plan.txt"))
        .expect(404);
}

#[test]
fn a_link_ends_with_its_day_its_owner_and_what_it_leads_to() {
    let server = TestServer::with(&[("NUAGE_SHARING__WRONG_LINKS_MAX", "1000")]);
    let ann = server.user("ann");
    course(&ann);
    let day = today().to_string();
    let link = Link::make(&ann, "/Cours", &[("expireDate", &day)]);
    server.anonymous(link.dav("GET", "/plan.txt")).expect(200);
    let page = server.anonymous(Request::new("GET", &link.page()));
    assert!(page.expect(200).text().contains("until the end of"));
    server.data.advance(86_400);
    assert_gone(&server, &link);

    let link = Link::make(&ann, "/Cours", &[]);
    server.data.command(&["user", "disable", "ann"]).ok();
    let gone = || server.anonymous(link.dav("GET", "/plan.txt")).status == 404;
    nuage_tests::wait::wait_until("the link is dead", crate::sharing::PATIENCE, gone);
    assert_gone(&server, &link);
    server.data.command(&["user", "enable", "ann"]).ok();
    server.anonymous(link.dav("GET", "/plan.txt")).expect(200);
    let delete = || ann.delete("/Cours").send().status == 204;
    nuage_tests::wait::wait_until("ann is back", crate::sharing::PATIENCE, delete);
    assert_gone(&server, &link);
}

#[test]
fn a_link_that_forbids_downloads_gives_none() {
    let server = TestServer::start();
    let ann = server.user("ann");
    course(&ann);
    let link = Link::make(&ann, "/Cours", &[]);
    let place = format!("shares/{}", link.id);
    let changed = data(&call(&ann, "PUT", &place, &[("hideDownload", "true")]).expect(200));
    assert_eq!(changed["hide_download"], 1);
    server.anonymous(link.dav("GET", "/plan.txt")).expect(403);
    let mut browser = Browser::new(&server);
    assert!(
        !browser
            .open(&link.page())
            .expect(200)
            .text()
            .contains("/download")
    );
    browser
        .open(&format!("{}/download?path=plan.txt", link.page()))
        .expect(403);
    assert_eq!(
        names(&server, link.dav("PROPFIND", "/")),
        ["sub", "plan.txt"]
    );
}

#[test]
fn an_operator_decides_what_links_can_be() {
    let server = TestServer::with(&[
        ("NUAGE_SHARING__LINK_PASSWORDS_REQUIRED", "true"),
        ("NUAGE_SHARING__LINK_DAYS_DEFAULT", "7"),
        ("NUAGE_SHARING__LINK_DAYS_MAX", "30"),
        ("NUAGE_SHARING__CUSTOM_ADDRESSES", "true"),
    ]);
    let ann = server.user("ann");
    course(&ann);
    let plain = [("path", "/Cours"), ("shareType", "3")];
    let refused = call(&ann, "POST", "shares", &plain).expect(403);
    assert!(
        refused.text().contains("Passwords are enforced"),
        "{refused}"
    );
    let link = Link::make(&ann, "/Cours", &[("password", "x")]);
    let place = format!("shares/{}", link.id);
    let shown = data(&call(&ann, "GET", &place, &[]));
    let week = today().checked_add(jiff::Span::new().days(7)).unwrap();
    assert_eq!(shown[0]["expiration"], format!("{week} 00:00:00"));
    let late = today()
        .checked_add(jiff::Span::new().days(31))
        .unwrap()
        .to_string();
    call(&ann, "PUT", &place, &[("expireDate", &late)]).expect(404);
    call(&ann, "PUT", &place, &[("password", "")]).expect(403);
    let endless = data(&call(&ann, "PUT", &place, &[("expireDate", "")]).expect(200));
    let month = today().checked_add(jiff::Span::new().days(30)).unwrap();
    assert_eq!(endless["expiration"], format!("{month} 00:00:00"));
    let named = data(&call(&ann, "PUT", &place, &[("token", "classe-3B")]).expect(200));
    assert_eq!(named["token"], "classe-3B");
    server
        .anonymous(Request::new("GET", "/s/classe-3B"))
        .expect(200);
    assert_gone(&server, &link);
    let second = Link::make(&ann, "/Cours", &[("password", "x")]);
    let place = format!("shares/{}", second.id);
    call(&ann, "PUT", &place, &[("token", "classe-3B")]).expect(400);
    call(&ann, "PUT", &place, &[("token", "../x")]).expect(400);
    let capabilities = ann
        .raw("GET", "/ocs/v1.php/cloud/capabilities?format=json")
        .send();
    let public = &data(&capabilities)["capabilities"]["files_sharing"]["public"];
    assert_eq!(public["password"]["enforced"], true);
    assert_eq!(public["expire_date"]["days"], 7);
}

#[test]
fn an_administrator_finds_links_and_ends_many_at_once() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    course(&ann);
    bob.put("/f.txt", "x").send().expect(201);
    let open = Link::make(&ann, "/Cours", &[]);
    let day = today().tomorrow().unwrap().to_string();
    let closed = Link::make(&ann, "/Cours", &[("password", "x"), ("expireDate", &day)]);
    let other = Link::make(&bob, "/f.txt", &[]);
    server
        .anonymous(Request::new("GET", &format!("{}/download", other.page())))
        .expect(200);
    let list = |words: &[&str]| -> Vec<String> {
        let words = [&["link", "list", "--json"], words].concat();
        let listed = server.data.command(&words).json();
        let ids = listed.as_array().unwrap().iter();
        ids.map(|link| link["id"].to_string()).collect()
    };
    assert_eq!(list(&[]).len(), 3);
    assert_eq!(
        list(&["--without-password"]),
        [open.id.clone(), other.id.clone()]
    );
    assert_eq!(
        list(&["--without-end", "--user", "ann"]),
        std::slice::from_ref(&open.id)
    );
    let counted = || list(&["--sort", "downloads"])[0] == other.id;
    nuage_tests::wait::wait_until("the download is counted", crate::sharing::PATIENCE, counted);
    assert!(list(&["--older-than", "1d"]).is_empty());
    server.data.advance(2 * 86_400);
    assert_eq!(list(&["--older-than", "1d"]), [open.id.clone(), other.id]);
    let printed = server.data.command(&["link", "list"]);
    assert!(!printed.ok().contains(&open.token), "a list opens nothing");
    let asked = server.data.command(&["link", "end", "--without-password"]);
    assert!(asked.ok().contains("2 links"), "{}", asked.ok());
    server
        .data
        .command(&["link", "end", "--without-password", "--yes"])
        .ok();
    assert!(list(&[]).is_empty());
    server
        .anonymous(Request::new("GET", &open.page()))
        .expect(404);
    server
        .anonymous(Request::new("GET", &closed.page()))
        .expect(404);
}

#[test]
fn whoever_may_share_further_does_not_see_the_links_of_others() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    course(&ann);
    crate::sharing::give(&ann, "/Cours", &bob, crate::sharing::READ | 16);
    let link = Link::make(&ann, "/Cours", &[("permissions", "15")]);
    let own = Link::make(&bob, "/Cours", &[]);
    let seen = call(&bob, "GET", "shares?path=/Cours&reshares=true", &[]).expect(200);
    assert!(!seen.text().contains(&link.token), "{seen}");
    assert!(seen.text().contains(&own.token), "{seen}");
    call(&bob, "GET", &format!("shares/{}", link.id), &[]).expect(404);
    // Whose it is sees all, and may end them.
    let seen = call(&ann, "GET", "shares?path=/Cours&reshares=true", &[]).expect(200);
    assert!(seen.text().contains(&own.token), "{seen}");
    call(&ann, "DELETE", &format!("shares/{}", own.id), &[]).expect(200);
}

#[test]
fn a_form_that_never_gets_to_its_point_costs_nothing() {
    let server = TestServer::start();
    let ann = server.user("ann");
    course(&ann);
    let link = Link::make(&ann, "/Cours", &[("permissions", "4")]);
    let send = |front: &str| {
        let mut body = front.as_bytes().to_vec();
        body.resize(48 << 20, b'x');
        let request = Request::new("POST", &link.page())
            .header("Content-Type", "multipart/form-data; boundary=b")
            .body(body);
        let mut connection = nuage_tests::http::Connection::open(server.address()).unwrap();
        // The answer may come before all is sent.
        let _answer = connection.send(request);
    };
    send("--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"");
    let before = server.restart_memory_peak();
    for front in [
        "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"",
        "--b\r\nContent-Disposition: form-data; name=\"own\"\r\n\r\n",
        "no boundary at all",
    ] {
        send(front);
    }
    let grown = server.memory_peak_bytes().saturating_sub(before);
    assert!(grown <= 16 << 20, "{grown} bytes");
    assert_eq!(ann.names("/Cours").len(), 2);
    server.assert_clean();
}
