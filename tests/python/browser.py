"""Walks through E-Signet's pages in headless Chromium, over the WebDriver protocol by plain HTTP.

Reads a job from standard input: {"driver", "authorize", "individual", "code", "claims": [names to tick], "decision"}.
Prints one object a line: what each page says, and where the browser ends.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]


class Driver:
    """A chromedriver of our own, on a port of its choice, with one session."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.base = None
        for line in self.process.stdout:
            if "successfully on port" in line:
                self.base = "http://127.0.0.1:" + line.rsplit("on port", 1)[1].strip().rstrip(".")
                break
        options = {"args": FLAGS + [f"--user-data-dir={folder}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}}
        try:
            self.session = self.call("POST", "/session", wanted)["sessionId"]
        except BaseException:
            self.process.kill()
            raise

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.read().decode()}") from None

    def ask(self, method, path, body=None):
        return self.call(method, f"/session/{self.session}{path}", body)

    def go(self, address):
        self.ask("POST", "/url", {"url": address})

    def find(self, css):
        found = self.ask("POST", "/elements", {"using": "css selector", "value": css})
        return [element[ELEMENT] for element in found]

    def one(self, css):
        for _ in range(200):
            found = self.find(css)
            if found:
                return found[0]
            time.sleep(0.05)
        raise SystemExit(f"no {css} on {self.ask('GET', '/url')}: {self.ask('GET', '/source')}")

    def write(self, css, text):
        element = self.one(css)
        self.ask("POST", f"/element/{element}/clear", {})
        self.ask("POST", f"/element/{element}/value", {"text": text})

    def click(self, css):
        self.ask("POST", f"/element/{self.one(css)}/click", {})

    def text(self, css):
        return self.ask("GET", f"/element/{self.one(css)}/text")

    def role(self, css):
        element = self.one(css)
        return [self.ask("GET", f"/element/{element}/{what}") for what in ("computedrole", "computedlabel")]

    def complaints(self):
        """What the browser's console says: refused styles, blocked loads."""
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})]

    def end(self):
        try:
            self.call("DELETE", f"/session/{self.session}")
        finally:
            self.process.terminate()
            self.process.wait(10)


def say(**what):
    print(json.dumps(what), flush=True)


def walk(driver, job):
    driver.go(job["authorize"])
    styled = driver.ask("POST", "/execute/sync", {
        "script": "return getComputedStyle(document.querySelector('main')).borderRadius", "args": []})
    say(page="login", title=driver.ask("GET", "/title"), heading=driver.text("h1"), styled=styled,
        fields=[driver.role("#individual_id"), driver.role("#code"), driver.role("button[type=submit]")])

    driver.write("#individual_id", job["individual"])
    driver.write("#code", "not this one")
    driver.click("button[type=submit]")
    say(page="wrong", alert=driver.text("[role=alert]"))

    driver.write("#individual_id", job["individual"])
    driver.write("#code", job["code"])
    driver.click("button[type=submit]")
    driver.one("#allow")
    say(page="consent", heading=driver.text("h1"), needed=driver.text("fieldset ul"),
        voluntary=[driver.ask("GET", f"/element/{box}/computedlabel")
                   for box in driver.find("input[type=checkbox]")])
    for claim in job["claims"]:
        driver.click(f"input[name='claim.{claim}']")
    driver.click(f"#{job['decision']}")
    driver.one("#ended")
    say(page="landing", address=driver.ask("GET", "/url"), said=driver.text("#ended"))
    say(page="console", complaints=driver.complaints())


def main():
    job = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(folder)
        try:
            walk(driver, job)
        finally:
            driver.end()


main()
