// Writes theirs.json: webhooks signed by Stripe's own library, and what it says of
// each. The gateway has to say the same.
import { writeFileSync } from "node:fs";
import Stripe from "stripe";

const { webhooks } = new Stripe("sk_test_unused");
const SECRET = "whsec_of_the_independent_signer";
const OTHER = "whsec_of_somebody_else";
const now = Math.floor(Date.now() / 1000);

const event = (object) =>
    JSON.stringify({ id: "evt_1", object: "event", type: "invoice.paid", data: { object } });
const bodies = {
    "an event": event({ id: "in_1" }),
    "printed over several lines": JSON.stringify({ id: "evt_1", object: "event", data: {} }, null, 2),
    "line breaks of another system": '{\r\n "id": "evt_1",\r\n "object": "event"\r\n}\r\n',
    "letters of many languages": event({ name: "Łukasz Þór 小島 שלום 🐲", note: "\u2028 \u0000" }),
    "an escaped letter": '{"id":"evt_1","object":"event","name":"\\u0141ukasz"}',
    "a large body": event({ lines: "x".repeat(300_000) }),
};

const sign = (payload, changes = {}) =>
    webhooks.generateTestHeaderString({ payload, secret: SECRET, timestamp: now, ...changes });
const digest = (header) => header.slice(header.indexOf("v1="));

const cases = [];
const add = (name, body, header, accepted) => cases.push({ name, body, header, accepted });
for (const [name, body] of Object.entries(bodies)) {
    add(name, body, sign(body), true);
    add(`${name}, and one more byte`, `${body} `, sign(body), false);
    add(`${name}, by another secret`, body, sign(body, { secret: OTHER }), false);
}
const body = bodies["an event"];
const right = sign(body);
const foreign = digest(sign(body, { secret: OTHER }));
add("two signatures, the right one first", body, `${right},${foreign}`, true);
add("two signatures, the right one last", body, `t=${now},${foreign},${digest(right)}`, true);
add("a further scheme", body, `${right},v0=${"0".repeat(64)}`, true);
add("two minutes old", body, sign(body, { timestamp: now - 120 }), true);
add("ten minutes old", body, sign(body, { timestamp: now - 600 }), false);
add("another time over an old signature", body, `t=${now},${digest(sign(body, { timestamp: now - 600 }))}`, false);
add("the test scheme alone", body, sign(body, { scheme: "v0" }), false);
add("no signature", body, `t=${now}`, false);
add("no time", body, digest(right), false);
add("no list", body, "garbage", false);
add("an empty header", body, "", false);

for (const one of cases) {
    let accepted = true;
    try {
        webhooks.constructEvent(Buffer.from(one.body), one.header, SECRET);
    } catch {
        accepted = false;
    }
    if (accepted !== one.accepted) {
        throw new Error(`Stripe's library ${accepted ? "accepts" : "refuses"}: ${one.name}`);
    }
}
writeFileSync("theirs.json", JSON.stringify({ secret: SECRET, cases }));
console.log(`signed by Stripe's library ${Stripe.PACKAGE_VERSION}: ${cases.length} webhooks`);
