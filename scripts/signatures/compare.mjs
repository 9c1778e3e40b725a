// Compares: what the gateway said of Stripe's signatures, and what Stripe's library
// says of ours.
import { readFileSync } from "node:fs";
import Stripe from "stripe";

const { webhooks } = new Stripe("sk_test_unused");
const read = (name) => JSON.parse(readFileSync(name, "utf8"));
const faults = [];

const { cases } = read("theirs.json");
const said = read("gateway.json");
for (const { name, accepted } of cases) {
    const expected = accepted ? 200 : 400;
    if (said[name] !== expected) {
        faults.push(`theirs, ${name}: the gateway says ${said[name]}, not ${expected}`);
    }
}

const ours = read("ours.json");
for (const { name, body, header, secret, accepted } of ours) {
    let refused = null;
    try {
        webhooks.constructEvent(Buffer.from(body), header, secret);
    } catch (error) {
        refused = error;
    }
    if (accepted !== (refused === null)) {
        faults.push(`ours, ${name}: ${refused ?? "Stripe's library accepts it"}`);
    }
    if (refused && refused.constructor.name !== "StripeSignatureVerificationError") {
        faults.push(`ours, ${name}: refused for another reason: ${refused}`);
    }
}

const right = ours.filter((one) => one.accepted).length;
if (cases.length < 25 || right < 5 || ours.length - right < 5) {
    faults.push(`too few cases: ${cases.length} of theirs, ${right} right ones of ${ours.length} of ours`);
}
if (faults.length > 0) {
    console.error(faults.join("\n"));
    process.exit(1);
}
console.log(`the gateway agrees on all ${cases.length} of theirs, Stripe's library on all ${ours.length} of ours`);
