"""A program that gets a token for itself and calls with it, by Authlib. What it is to do comes as JSON, what came of it goes out as JSON."""

import json
import sys

from authlib.integrations.requests_client import OAuth2Session

wanted = json.load(sys.stdin)
session = OAuth2Session(
    wanted["client_id"], wanted["client_secret"], scope=wanted["scope"], token_placement=wanted["placed"], default_timeout=20
)
session.trust_env = False
session.fetch_token(wanted["token_endpoint"], grant_type="client_credentials", resource=wanted["resource"])
method = "POST" if wanted["placed"] == "body" else "GET"
answer = session.request(method, wanted["url"], headers={"Accept": "application/json"}, allow_redirects=False)
json.dump({"status": answer.status_code, "authenticate": answer.headers.get("WWW-Authenticate"), "body": answer.text}, sys.stdout)
