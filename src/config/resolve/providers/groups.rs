//! Where a provider's groups are.

use jsonwebtoken::Algorithm;
use serde_json::Value;
use url::Url;

use super::{client::fitting_algorithms, request::Request, table::Table};
use crate::{
    config::{
        files,
        provider::{Provider, values::Lookup},
    },
    identity::NeededClaims,
    providers::{GroupLookup, Groups},
    secret::Secret,
};

pub(super) fn resolve(
    raw: &mut Provider,
    request: Option<&Request>,
    needed: &NeededClaims,
    table: &mut Table<'_, '_>,
) -> Option<Groups> {
    let claim = table.required(&mut raw.groups_claim, "groups_claim");
    let lookup = table.required(&mut raw.groups_lookup, "groups_lookup")?;
    let endpoint = match lookup {
        Lookup::None => None,
        Lookup::MicrosoftGraph | Lookup::GoogleDirectory | Lookup::GitHub => {
            if !raw.groups_endpoint.is_given() {
                table.missing("groups_endpoint", "is required: where groups are looked up");
            }
            table.endpoint(&mut raw.groups_endpoint, "groups_endpoint")
        }
    };
    if lookup != Lookup::GoogleDirectory {
        let names = ["groups_account_file", "groups_subject"];
        table.refuse(&names, "is for `groups_lookup = \"google_directory\"`");
    }
    if lookup != Lookup::None && claim.as_ref().is_some_and(|claim| claim.starts_with('/')) {
        let lookup = table.named("groups_lookup");
        table.wrong("groups_claim", format!("leads into another claim; what {lookup} finds needs a plain name"));
    }
    let lookup = match lookup {
        Lookup::None => None,
        Lookup::MicrosoftGraph => Some(GroupLookup::MicrosoftGraph { endpoint: endpoint? }),
        Lookup::GoogleDirectory => Some(google_directory(raw, endpoint, table)?),
        Lookup::GitHub => {
            let may_read = |scope: &String| matches!(&**scope, "read:org" | "write:org" | "admin:org");
            let asks = request.is_some_and(|request| request.scopes.iter().any(may_read));
            if needed.0.contains_key("groups") && !asks {
                let what = "lack `read:org`: rules and headers name groups, and without it only public ones are found";
                table.warn("scopes", what);
            }
            Some(GroupLookup::GitHub { api: endpoint? })
        }
    };
    Some(Groups { claim: claim?.into(), lookup })
}

fn google_directory(raw: &mut Provider, endpoint: Option<Url>, table: &mut Table<'_, '_>) -> Option<GroupLookup> {
    for (name, is_given, what) in [
        (
            "groups_account_file",
            raw.groups_account_file.is_given(),
            "is required: the service account that may read the directory, as JSON",
        ),
        (
            "groups_subject",
            raw.groups_subject.is_given(),
            "is required: the administrator whom the service account acts for",
        ),
    ] {
        if !is_given {
            table.missing(name, what);
        }
    }
    let path = table.value(&mut raw.groups_account_file, "groups_account_file");
    let subject = table.value(&mut raw.groups_subject, "groups_subject");
    let account = path.and_then(|path| {
        let account = files::text(&path)
            .and_then(|text| account(&text).map_err(|what| format!("names {}, which {what}", files::shown(&path))));
        account.map_err(|what| table.wrong("groups_account_file", what)).ok()
    });
    let Account { address, key, token_endpoint } = account?;
    table.check_transport(&token_endpoint, "groups_account_file");
    Some(GroupLookup::GoogleDirectory {
        endpoint: endpoint?,
        token_endpoint,
        account: address,
        key,
        subject: subject?.into(),
    })
}

/// A service account, as far as it is read.
struct Account {
    address: Box<str>,
    key: Secret<String>,
    token_endpoint: Url,
}

/// The reason never repeats what stands in the file.
fn account(text: &str) -> Result<Account, String> {
    let members: Value = serde_json::from_str(text).map_err(|_| "is not JSON".to_owned())?;
    let member = |name: &str| {
        let text = members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("has no `{name}`; the JSON key of a service account is expected"))
    };
    let address = member("client_email")?.into();
    let key = Secret::new(member("private_key")?.to_owned());
    let fitting = fitting_algorithms(&key).map_err(|what| format!("has a `private_key` that {what}"))?;
    if !fitting.contains(&Algorithm::RS256) {
        return Err("has a `private_key` that is no RSA key".to_owned());
    }
    let token_endpoint = Url::parse(member("token_uri")?).ok().filter(|url| url.host().is_some());
    Ok(Account { address, key, token_endpoint: token_endpoint.ok_or("has a `token_uri` that is no URL")? })
}
