//! The page as text. Text goes in through [`escape`], and only there.

use std::fmt::Write;

use super::super::prices::Price;
use super::super::sessions::Session;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f6f8fa;color:#1a1f36}\
main{max-width:30rem;margin:3rem auto;padding:2rem;background:#fff;border-radius:8px;\
box-shadow:0 2px 12px #0001}h1{font-size:1.25rem;margin:0 0 1rem}table{width:100%;\
border-collapse:collapse}td{padding:.4rem 0;border-bottom:1px solid #e6e9ee}\
td:last-child{text-align:right;white-space:nowrap}tr.total td{font-weight:600;border:0}\
small{color:#697386}label{display:block;margin-top:1rem}input{width:100%;box-sizing:border-box;\
padding:.5rem;border:1px solid #cfd7df;border-radius:4px;font:inherit}button{width:100%;\
margin-top:.75rem;padding:.65rem;border:0;border-radius:4px;font:inherit;font-weight:600;\
background:#0b6b53;color:#fff;cursor:pointer}button.plain{background:#e6e9ee;color:#1a1f36}\
p.problem{color:#b3093c}";

/// Methods whose money comes later.
const DELAYED: [&str; 6] = [
    "acss_debit",
    "au_becs_debit",
    "bacs_debit",
    "boleto",
    "sepa_debit",
    "us_bank_account",
];

/// The form of an open session.
pub(super) fn checkout(session: &Session, problem: Option<&str>) -> String {
    let id = escape(&session.id);
    let mut body = String::from("<h1>Subscribe</h1>");
    if let Some(problem) = problem {
        let _ = write!(body, "<p class=\"problem\">{}</p>", escape(problem));
    }
    body.push_str(&cart(session));
    let _ = write!(body, "<form method=\"post\" action=\"/c/pay/{id}/pay\">");
    match &session.buyer_email {
        Some(email) => {
            let _ = write!(body, "<p><small>Receipt to {}</small></p>", escape(email));
        }
        None => body.push_str(
            "<label>E-mail<input type=\"email\" name=\"email\" autocomplete=\"email\"></label>",
        ),
    }
    if session.allow_promotion_codes == Some(true) {
        body.push_str("<label>Promotion code<input name=\"promotion_code\"></label>");
    }
    let total = amount(session.total(), &session.currency);
    let _ = write!(
        body,
        "<button name=\"mode\" value=\"paid\">Pay {total}</button>"
    );
    if session
        .payment_method_types
        .iter()
        .any(|method| DELAYED.contains(&method.as_str()))
    {
        body.push_str(
            "<button class=\"plain\" name=\"mode\" value=\"unpaid\">Pay by bank debit</button>",
        );
    }
    body.push_str("</form>");
    if session.cancel_url.is_some() {
        let _ = write!(
            body,
            "<form method=\"post\" action=\"/c/pay/{id}/cancel\">\
             <button class=\"plain\">Cancel</button></form>"
        );
    }
    document("Checkout", &body)
}

/// A page that only says something.
pub(super) fn message(text: &str) -> String {
    document("Checkout", &format!("<h1>{}</h1>", escape(text)))
}

fn cart(session: &Session) -> String {
    let mut rows = String::new();
    for line in &session.lines {
        let name = line
            .price
            .nickname
            .as_ref()
            .unwrap_or(&line.price.spec.product);
        let _ = write!(
            rows,
            "<tr><td>{} × {}<br><small>{}</small></td><td>{}</td></tr>",
            line.quantity,
            escape(name),
            period(&line.price),
            amount(line.amount(), &session.currency)
        );
    }
    if session.discount() > 0 {
        let off = amount(-session.discount(), &session.currency);
        let _ = write!(rows, "<tr><td>Discount</td><td>{off}</td></tr>");
    }
    let total = amount(session.total(), &session.currency);
    let _ = write!(
        rows,
        "<tr class=\"total\"><td>Due today</td><td>{total}</td></tr>"
    );
    format!("<table>{rows}</table>")
}

fn period(price: &Price) -> String {
    match (price.spec.interval, price.spec.interval_count) {
        (None, _) => "once".to_owned(),
        (Some(interval), 1) => format!("per {}", interval.word()),
        (Some(interval), count) => format!("every {count} {}s", interval.word()),
    }
}

/// Minor units as people read them.
fn amount(minor: i64, currency: &str) -> String {
    let code = escape(&currency.to_uppercase());
    if matches!(currency, "jpy" | "krw" | "vnd" | "clp" | "isk") {
        return format!("{minor} {code}");
    }
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{sign}{}.{:02} {code}", minor / 100, minor % 100)
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>{body}\
         <p><small>A stand-in for Stripe. No money moves.</small></p></main></body></html>"
    )
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
