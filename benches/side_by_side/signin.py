"""Signing in as a browser does: following redirects, keeping cookies, filling in the provider's forms."""

import http.client
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urljoin, urlsplit

# What browsers say when somebody follows a link: gateways send nobody else to a login.
_NAVIGATION = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
    "User-Agent": "Mozilla/5.0 (benchmark)",
}


class NotSignedIn(Exception):
    """A page stood where the application should have been."""

    def __init__(self, url, status, page):
        super().__init__(f"{status} at {url.split('?')[0]}: {' '.join(_text_of(page).split())[:300]}")
        self.status = status


class Browser:
    """Cookies and navigation. Cookies belong to a host and port here, so that one browser can hold sessions at several gateways."""

    def __init__(self):
        self._jar = {}

    def sign_in(self, url, user):
        """Opens `url`, signs in as `user` on the way, and returns what the application answered."""
        method, body = "GET", None
        for _ in range(25):
            status, headers, page = self._ask(method, url, body)
            if status in (302, 303, 307):
                method, body, url = "GET", None, urljoin(url, headers["Location"])
                continue
            form = _Form(page) if "text/html" in headers.get("Content-Type", "") else None
            if status != 200:
                raise NotSignedIn(url, status, page)
            if form is None or not form.found:
                return page
            filled = {"login": user, "password": "any"}
            fields = {name: filled.get(name, value) for name, value in form.fields.items()}
            method, body, url = "POST", urlencode(fields), urljoin(url, form.action)
        raise NotSignedIn(url, status, "too many steps")

    def ask(self, url):
        """One request without following anything: status and body."""
        status, _, page = self._ask("GET", url, None)
        return status, page

    def cookies(self, url, named=""):
        """The cookies for `url` whose name begins with `named`."""
        return {name: value for name, value in self._jar.get(urlsplit(url).netloc, {}).items() if name.startswith(named)}

    def credential(self, url):
        """The header field with all cookies for `url`; nothing where there are none."""
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies(url).items())
        return pairs and f"Cookie: {pairs}"

    def _ask(self, method, url, body):
        target = urlsplit(url)
        headers = dict(_NAVIGATION)
        if credential := self.credential(url):
            headers["Cookie"] = credential.removeprefix("Cookie: ")
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        # 127.0.0.1 is where everybody listens, also who is called localhost
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=20)
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        try:
            connection.request(method, path, body, {"Host": target.netloc, **headers})
            answer = connection.getresponse()
            page = answer.read().decode("utf8", "replace")
        finally:
            connection.close()
        self._keep(target.netloc, answer.headers.get_all("Set-Cookie") or [])
        return answer.status, answer.headers, page

    def _keep(self, host, lines):
        jar = self._jar.setdefault(host, {})
        for line in lines:
            for name, cookie in SimpleCookie(line).items():
                if cookie["max-age"] == "0" or "1970" in cookie["expires"] or not cookie.value:
                    jar.pop(name, None)
                else:
                    jar[name] = cookie.value


class _Form(HTMLParser):
    """The first form of a page: where it goes, and its fields with the values they have."""

    def __init__(self, page):
        super().__init__()
        self.found, self.action, self.fields, self._inside = False, "", {}, False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form" and not self.found:
            self.found = self._inside = True
            self.action = attributes.get("action") or ""
        elif tag == "input" and self._inside and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value") or ""

    def handle_endtag(self, tag):
        if tag == "form":
            self._inside = False


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.text, self._hidden = [], False

    def handle_starttag(self, tag, attrs):
        self._hidden = tag in ("style", "script", "head")

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if not self._hidden:
            self.text.append(data)


def _text_of(page):
    reader = _Text()
    reader.feed(page)
    return " ".join(reader.text)
