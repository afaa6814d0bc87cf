//! Groups from directories (T-128, T-136).

use super::*;
use crate::{identity::ClaimValue, providers::testing::opened};

const OVERAGE: &str = "_claim_names";

/// What of `groups` a sign-in keeps; `None` when it has none.
async fn groups(provider: &Provider) -> Option<Vec<String>> {
    let claims = sign_in(provider).await.unwrap().claims;
    claims.get("groups").map(|groups| groups.iter().map(str::to_owned).collect())
}

fn needing_groups(mut settings: Settings, lookup: GroupLookup) -> Settings {
    settings.groups.lookup = Some(lookup);
    settings.needed_claims.add_whole("groups");
    settings.userinfo = UserinfoMode::Never;
    settings
}

fn url(op: &FakeProvider, path: &str) -> Url {
    Url::parse(&format!("{}{path}", op.origin)).unwrap()
}

fn graph(op: &FakeProvider) -> Settings {
    needing_groups(op.settings(), GroupLookup::MicrosoftGraph { endpoint: url(op, "/memberOf?$select=id&$top=100") })
}

fn linked(body: &Value, link: &'static str) -> Answer {
    Answer::Any { status: 200, headers: vec![("link", link)], body: body.to_string().into() }
}

/// T-128: whoever's groups are not all there has none, also none of those that another document lists.
#[tokio::test]
async fn a_lookup_that_fails_leaves_no_groups_and_signs_in() {
    let (op, signer) = good().await;
    let elsewhere = FakeProvider::start().await;
    elsewhere.json("/memberOf", json!({"value": [{"id": "stolen"}]}));
    let overage = json!({OVERAGE: {"groups": "src1"}, "groups": ["stale"], "preferred_username": "ada"});
    op.gives(&signer.sign(&with(op.claims(), &overage)));
    op.json("/userinfo", json!({"sub": "s-1", "groups": ["from userinfo"], "name": "Ada"}));
    let mut settings = graph(&op);
    settings.limits.timeout = Duration::from_millis(300);
    settings.limits.answer_bytes = 10_000;
    settings.userinfo = UserinfoMode::Always;
    settings.needed_claims.add_whole("name");
    let (provider, _) = op.known(settings.clone());
    let any = |status, body: &'static str| Answer::Any { status, headers: vec![], body: body.into() };
    for answer in [
        any(403, r#"{"error":{"code":"Authorization_RequestDenied"}}"#),
        any(500, ""),
        any(302, ""),
        any(200, "garbage"),
        any(200, "{}"),
        any(200, r#"{"value":{}}"#),
        any(200, r#"{"value":[{"id":7}]}"#),
        any(200, r#"{"value":[{}]}"#),
        Answer::Any { status: 200, headers: vec![], body: vec![b' '; 10_001].into() },
        Answer::Never,
        Answer::Json(json!({"value": [{"id": "g"}], "@odata.nextLink": url(&elsewhere, "/memberOf")})),
        Answer::Json(json!({"value": [{"id": "g"}], "@odata.nextLink": "http://[/"})),
        // For ever the same page.
        Answer::Json(json!({"value": [{"id": "g"}], "@odata.nextLink": url(&op, "/memberOf")})),
    ] {
        op.answers("/memberOf", answer.clone());
        let signed_in = sign_in(&provider).await.unwrap();
        assert_eq!(signed_in.claims, [("name".into(), ClaimValue::One("Ada".into()))].into(), "{answer:?}");
    }
    assert!(op.hits("/memberOf") <= 12 + 20, "pages are bounded");
    assert_eq!(elsewhere.hits("/memberOf"), 0, "the token goes nowhere else");

    // Userinfo is not asked for what the directory did not know, and a page that fails takes the others with it.
    op.json("/memberOf", json!({"value": [{"id": "g"}], "@odata.nextLink": url(&op, "/page/2")}));
    op.status("/page/2", 500, "");
    settings = graph(&op);
    settings.userinfo = UserinfoMode::WhenMissing;
    let before = op.hits("/userinfo");
    let (provider, _) = op.known(settings.clone());
    assert_eq!((groups(&provider).await, op.hits("/userinfo")), (None, before));
    op.json("/token", json!({"id_token": signer.sign(&with(op.claims(), &overage))}));
    assert_eq!(groups(&provider).await, None, "no access token to ask with");
}

/// T-128.
#[tokio::test]
async fn too_many_groups_for_a_token_are_read_page_by_page() {
    let (op, signer) = good().await;
    let group = |id: &str| json!({"@odata.type": "#microsoft.graph.group", "id": id});
    let role = json!({"@odata.type": "#microsoft.graph.directoryRole", "id": "a role"});
    op.json("/memberOf", json!({"value": [group("g1"), role], "@odata.nextLink": url(&op, "/page?$skiptoken=2")}));
    op.json("/page?$skiptoken=2", json!({"value": [], "@odata.nextLink": url(&op, "/page?$skiptoken=3")}));
    op.json("/page?$skiptoken=3", json!({"value": [{"id": "g2"}, group("g3")]}));
    let settings = graph(&op);
    let (provider, _) = op.known(settings.clone());
    for (claims, asked, found) in [
        (json!({"groups": ["g9"]}), false, Some(vec!["g9"])),
        (json!({}), false, None),
        (json!({OVERAGE: {"groups": "src1"}}), true, Some(vec!["g1", "g2", "g3"])),
        (json!({"hasgroups": true, "groups": ["g9"]}), true, Some(vec!["g1", "g2", "g3"])),
    ] {
        op.gives(&signer.sign(&with(op.claims(), &claims)));
        let before = op.hits("/memberOf");
        let found: Option<Vec<String>> = found.map(|found| found.into_iter().map(Into::into).collect());
        assert_eq!((groups(&provider).await, op.hits("/memberOf") > before), (found, asked), "{claims}");
    }
    for request in op.seen("/memberOf").into_iter().chain(op.seen("/page")) {
        assert_eq!(request.header("authorization"), Some("Bearer at"));
        assert_eq!(request.header("consistencylevel"), Some("eventual"));
    }
    assert_eq!(op.seen("/memberOf")[0].query, "$select=id&$top=100");

    // Nobody is asked for what nobody needs.
    let before = op.hits("/memberOf");
    let (provider, _) = op.known(Settings { needed_claims: Default::default(), ..settings });
    assert!(sign_in(&provider).await.is_ok());
    assert_eq!(op.hits("/memberOf"), before);
}

#[tokio::test]
async fn a_service_account_reads_googles_directory() {
    let (op, _) = good().await;
    let account = Signer::rs256("sa");
    let lookup = |pem| GroupLookup::GoogleDirectory {
        endpoint: url(&op, "/directory/groups"),
        token_endpoint: url(&op, "/google-token"),
        account: "sa@project.example".into(),
        key: pem,
        subject: "admin@corp.example".into(),
    };
    let build = |settings| {
        let system = crate::outgoing::system_roots();
        let built = Providers::new(vec![settings], |_| "https://us/cb".into(), &system, &Clock::stopped(NOW));
        built.map(|_| ()).map_err(|error| error.problem)
    };
    let wrong_key = needing_groups(op.settings(), lookup(Signer::es256("x").pem()));
    assert!(matches!(build(wrong_key), Err(BuildProblem::GroupsKey)));
    let mut settings = needing_groups(op.settings(), lookup(account.pem()));
    settings.groups.claim = "/realm_access/roles".into();
    assert!(matches!(build(settings.clone()), Err(BuildProblem::GroupsClaim)));
    settings.groups.claim = "groups".into();

    let (provider, _) = op.known(settings);
    for answer in [json!({"error": "invalid_grant"}), json!({"access_token": ""}), json!([])] {
        op.json("/google-token", answer);
        assert_eq!((groups(&provider).await, op.hits("/directory/groups")), (None, 0));
    }
    op.json("/google-token", json!({"access_token": "directory-token", "expires_in": 3599}));
    for broken in [json!({"groups": {}}), json!({"groups": [{"name": "x"}]})] {
        op.json("/directory/groups", broken);
        assert_eq!(groups(&provider).await, None);
    }
    op.json("/directory/groups", json!({"kind": "admin#directory#groups"}));
    assert_eq!(groups(&provider).await, Some(vec![]), "in no group");
    op.json("/directory/groups", json!({"groups": [{"email": "a@corp.example"}], "nextPageToken": "p+2/="}));
    let second = "/directory/groups?userKey=s-1&maxResults=200&pageToken=p%2B2%2F%3D";
    op.json(second, json!({"groups": [{"email": "b@corp.example"}]}));
    assert_eq!(groups(&provider).await, Some(vec!["a@corp.example".into(), "b@corp.example".into()]));
    let asked = op.seen("/directory/groups").pop().unwrap();
    assert_eq!(asked.header("authorization"), Some("Bearer directory-token"));

    let form = op.seen("/google-token").pop().unwrap().form();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header, claims) = opened(&account, &form["assertion"]);
    assert_eq!(header["alg"], "RS256");
    for (claim, value) in [
        ("iss", "sa@project.example".to_owned()),
        ("sub", "admin@corp.example".to_owned()),
        ("scope", "https://www.googleapis.com/auth/admin.directory.group.readonly".to_owned()),
        ("aud", format!("{}/google-token", op.origin)),
    ] {
        assert_eq!(claims[claim], value);
    }
    assert!(claims["exp"].as_u64().unwrap() <= NOW.0 + 3600);
}

/// T-136.
#[tokio::test]
async fn organisations_and_teams_are_githubs_groups() {
    let op = FakeProvider::start().await;
    op.json("/token", json!({"access_token": "at", "token_type": "bearer"}));
    op.json("/me", json!({"id": 7, "groups": ["what the profile says"]}));
    let lookup = GroupLookup::GitHub { api: url(&op, "/api/v3/") };
    let (provider, _) = op.known(needing_groups(super::oauth2::settings(&op), lookup));
    assert_eq!(groups(&provider).await, None, "404");

    op.answers("/api/v3/user/orgs", linked(&json!([{"login": "acme"}]), "</api/v3/user/orgs?page=2>; rel=\"next\""));
    op.json("/api/v3/user/orgs?page=2", json!([{"login": "other"}]));
    assert_eq!(groups(&provider).await, None, "organisations alone are half an answer");
    let team = |slug: &str, organisation: &str| json!({"slug": slug, "organization": {"login": organisation}});
    op.json("/api/v3/user/teams", json!([team("staff", "acme"), {"slug": "x"}]));
    assert_eq!(groups(&provider).await, None, "a team of no organisation");
    op.json("/api/v3/user/teams", json!([team("staff", "acme"), team("staff", "other")]));
    let expected = ["acme", "other", "acme/staff", "other/staff"].map(String::from).to_vec();
    assert_eq!(groups(&provider).await, Some(expected));
    let asked = op.seen("/api/v3/user/teams").pop().unwrap();
    assert_eq!((asked.query.as_str(), asked.header("accept")), ("per_page=100", Some("application/vnd.github+json")));
    assert_eq!(asked.header("authorization"), Some("Bearer at"));
    assert!(asked.header("user-agent").unwrap().starts_with("doorward/"));

    let elsewhere = FakeProvider::start().await;
    elsewhere.json("/x", json!([team("admins", "acme")]));
    let link: &'static str = format!("<{}>; rel=\"next\"", url(&elsewhere, "/x")).leak();
    op.answers("/api/v3/user/teams", linked(&json!([]), link));
    assert_eq!((groups(&provider).await, elsewhere.hits("/x")), (None, 0), "the token goes nowhere else");
}
