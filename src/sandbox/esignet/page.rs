//! The pages a person sees: plain HTML that any browser and screen reader can use. Nothing is loaded from anywhere, no
//! script runs, and a content security policy says so.

use http::{HeaderName, StatusCode, header::CONTENT_SECURITY_POLICY};

use super::{Esignet, authorize::Asked, claims};
use crate::sandbox::{
    ida::IdaAnswer,
    web::{Form, answer, no_store, random_text, with_header},
};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b2430;--paper:#f4f6f8;--card:#fff;--line:#8592a3;--act:#0b5cad;--warn:#a4161a}\
@media(prefers-color-scheme:dark){:root{--ink:#e8edf3;--paper:#12171d;--card:#1c232c;--line:#7a8796;--act:#7db8f5;--warn:#ff9a9d}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}\
main{width:100%;max-width:26rem;background:var(--card);padding:1.5rem 2rem 2rem;border-radius:.75rem;box-shadow:0 1px 6px #0003}\
h1{font-size:1.35rem;line-height:1.3;margin:.25rem 0 1rem}\
p.where{margin:0;font-size:.875rem}\
label{display:block;margin:1rem 0 .25rem;font-weight:600}\
label.tick{font-weight:400;margin:.4rem 0;display:flex;gap:.6rem;align-items:baseline}\
input[type=text],input[type=password]{width:100%;font:inherit;padding:.6rem;border:1px solid var(--line);border-radius:.4rem;background:transparent;color:inherit}\
.hint{margin:.25rem 0 0;font-size:.875rem}\
.alert{border-left:.3rem solid var(--warn);color:var(--warn);padding:.25rem .75rem;margin:1rem 0}\
fieldset{border:1px solid var(--line);border-radius:.4rem;margin:1rem 0;padding:.5rem 1rem}\
ul{margin:.25rem 0;padding-left:1.25rem}\
button{font:inherit;font-weight:600;padding:.6rem 1.25rem;margin:1.25rem .75rem 0 0;border:2px solid var(--act);border-radius:.4rem;background:var(--act);color:var(--card);cursor:pointer}\
button.quiet{background:transparent;color:var(--act)}\
:focus-visible{outline:3px solid var(--act);outline-offset:2px}";

/// Who are you?
pub(super) fn login(
    esignet: &Esignet,
    asked: &Asked,
    transaction: &str,
    alert: Option<&str>,
) -> IdaAnswer {
    let alert = alert.map_or_else(String::new, |text| {
        format!(
            "<p class=\"alert\" id=\"alert\" role=\"alert\">{}</p>",
            escaped(text)
        )
    });
    let about = if alert.is_empty() {
        ""
    } else {
        " aria-describedby=\"alert\" aria-invalid=\"true\""
    };
    let body = format!(
        "<p class=\"where\">E-Signet of the sandbox</p>\
<h1>Log in to {client}</h1>{alert}\
<form method=\"post\" action=\"/authorize/login\">\
<input type=\"hidden\" name=\"transaction\" value=\"{transaction}\">\
<label for=\"individual_id\">UIN or VID</label>\
<input type=\"text\" id=\"individual_id\" name=\"individual_id\" inputmode=\"numeric\" autocomplete=\"username\" required autofocus{about}>\
<label for=\"code\">Static code</label>\
<input type=\"password\" id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"current-password\" required aria-describedby=\"code-hint\">\
<p class=\"hint\" id=\"code-hint\">In the sandbox: the last six digits of the UIN.</p>\
<button type=\"submit\">Log in</button></form>",
        client = escaped(client_name(esignet, asked)),
    );
    page(StatusCode::OK, "Log in", &body, &asked.redirect_uri)
}

/// What may the client know?
pub(super) fn consent(esignet: &Esignet, asked: &Asked, transaction: &str) -> IdaAnswer {
    let client = escaped(client_name(esignet, asked));
    let always = if asked.essential.is_empty() {
        String::new()
    } else {
        let items: String = asked
            .essential
            .iter()
            .map(|claim| format!("<li>{}</li>", escaped(claims::title(claim))))
            .collect();
        format!("<fieldset><legend>Needed</legend><ul>{items}</ul></fieldset>")
    };
    let optional = if asked.voluntary.is_empty() {
        String::new()
    } else {
        let items: String = asked
            .voluntary
            .iter()
            .map(|claim| {
                format!(
                    "<label class=\"tick\"><input type=\"checkbox\" name=\"claim.{name}\" value=\"on\"> {title}</label>",
                    name = escaped(claim),
                    title = escaped(claims::title(claim))
                )
            })
            .collect();
        format!("<fieldset><legend>If you want</legend>{items}</fieldset>")
    };
    let nothing = if always.is_empty() && optional.is_empty() {
        "<p>Only that it is you, nothing else about you.</p>"
    } else {
        ""
    };
    let body = format!(
        "<p class=\"where\">E-Signet of the sandbox</p>\
<h1>{client} asks to know about you</h1>\
<form method=\"post\" action=\"/authorize/consent\">\
<input type=\"hidden\" name=\"transaction\" value=\"{transaction}\">{always}{optional}{nothing}\
<button type=\"submit\" name=\"decision\" value=\"allow\" id=\"allow\">Allow</button>\
<button type=\"submit\" name=\"decision\" value=\"deny\" id=\"deny\" class=\"quiet\">Do not allow</button></form>"
    );
    page(StatusCode::OK, "Consent", &body, &asked.redirect_uri)
}

/// Something that ends here.
pub(super) fn problem(status: StatusCode, why: &str) -> IdaAnswer {
    let body = format!(
        "<p class=\"where\">E-Signet of the sandbox</p><h1>This login cannot go on</h1><p class=\"alert\" role=\"alert\">{}</p>",
        escaped(why)
    );
    page(status, "Not possible", &body, "")
}

/// The page of a client to come back to. It says how the login ended and shows no code.
pub(super) fn landing(query: &Form) -> IdaAnswer {
    let said = match (query.get("code"), query.get("error")) {
        (Some(_), None) => "You are logged in.".to_owned(),
        (_, Some(error)) => format!("You are not logged in: {error}"),
        (None, None) => "Nobody came with a code.".to_owned(),
    };
    let body = format!(
        "<p class=\"where\">A client of the sandbox</p><h1 id=\"ended\">{}</h1>",
        escaped(&said)
    );
    page(StatusCode::OK, "Back at the client", &body, "")
}

fn client_name<'a>(esignet: &'a Esignet, asked: &'a Asked) -> &'a str {
    esignet
        .client(&asked.client)
        .map_or(&asked.client, |client| &client.name)
}

/// A whole page. Browsers hold redirects after a form to `form-action` too, so the client's origin stands there.
fn page(status: StatusCode, title: &str, body: &str, redirect_uri: &str) -> IdaAnswer {
    let nonce = random_text(16).unwrap_or_default();
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
<title>{title} | E-Signet</title><style nonce=\"{nonce}\">{STYLE}</style></head>\
<body><main>{body}</main></body></html>"
    );
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        origin(redirect_uri)
    );
    let mut shown = no_store(answer(status, "text/html;charset=utf-8", html.into_bytes()));
    shown = with_header(shown, CONTENT_SECURITY_POLICY, policy.trim());
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        shown = with_header(shown, HeaderName::from_static(name), value);
    }
    shown
}

/// Scheme and authority of an address; the scheme alone when it has none. It is a registered one.
fn origin(uri: &str) -> &str {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.split_inclusive(':').next().unwrap_or_default();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let length = scheme
        .len()
        .saturating_add(3)
        .saturating_add(authority.len());
    uri.get(..length).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, letter| {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_the_origin_of_an_address_and_no_more() {
        assert_eq!(
            origin("https://a.example.org:8443/x?y#z"),
            "https://a.example.org:8443"
        );
        assert_eq!(origin("http://localhost"), "http://localhost");
        assert_eq!(origin("org.example.app:/back"), "org.example.app:");
        assert_eq!(origin(""), "");
    }

    #[test]
    fn what_others_wrote_is_never_markup() {
        assert_eq!(escaped("<b a='\"&"), "&lt;b a=&#39;&quot;&amp;");
    }
}
