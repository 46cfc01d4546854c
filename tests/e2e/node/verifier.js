// A coherent verifier, written after docs/sync-protocol.md, for `keyauthority verifier-check`. It asks about one
// secret in a call, and does not limit how many calls there are.
//
// node verifier.js DESCRIPTOR_SET
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const definition = loader.loadFileDescriptorSetFromBuffer(readFileSync(process.argv[2]), {
  defaults: true,
  enums: String,
  longs: Number,
});
const { VerificationService } = grpc.loadPackageDefinition(definition).keyauthority.v1;
const stub = new VerificationService(
  process.env.KEYAUTHORITY_ADDRESS,
  grpc.credentials.createInsecure(),
);
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${process.env.KEYAUTHORITY_TOKEN}`);

// It counts from the machine's start, sleep included; process.hrtime stands still while it sleeps.
const clock = uptime;
const seconds = (duration) => Number(duration?.seconds ?? 0) + (duration?.nanos ?? 0) / 1e9;
const duration = (length) => ({
  seconds: Math.trunc(length),
  nanos: Math.round((length % 1) * 1e9),
});
const VERDICT_DEADLINE = 5;
const CAPACITY = 100_000;
const MINTED = "sk-optk-";

let underWay; // the Sync whose reply counts

function call(method, request, deadline, started = () => {}) {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + 1000 * deadline };
    const made = stub[method](request, metadata, options, (error, reply) =>
      error ? reject(error) : resolve(reply),
    );
    started(made);
  });
}

class Cache {
  entries = new Map();
  session = "";
  epoch = 0;
  applied = 0;
  seen = 0;
  leaseUntil = -Infinity;
  foreignSecrets = true;
  alarms = 0;
  left = false;

  leased() {
    return clock() < this.leaseUntil;
  }

  get(digest) {
    const entry = this.entries.get(digest);
    const now = clock();
    if (entry?.verdict === "REVOKED") return entry;
    return entry && now < this.leaseUntil && now < entry.until ? entry : undefined;
  }

  drop(which) {
    for (const [digest, entry] of this.entries)
      if (entry.verdict !== "REVOKED" && which(entry)) this.entries.delete(digest);
  }

  // Returns whether the reply was taken.
  apply(claim, reply) {
    const { epoch, revision } = reply;
    const floor = Math.max(this.applied, claim.seen);
    if (epoch < this.epoch || (epoch === this.epoch && revision < floor)) {
      this.leaseUntil = -Infinity;
      this.drop(() => true);
      this.alarms += 1;
      console.error("the books went back");
      return false;
    }
    if (epoch > this.epoch) {
      this.leaseUntil = -Infinity;
      this.seen = 0;
    }
    const subjects = new Set(reply.subjects);
    const everything = reply.reset || epoch !== claim.epoch;
    this.drop(({ key, workspace }) => everything || subjects.has(key) || subjects.has(workspace));
    Object.assign(this, { session: reply.session_id, epoch, applied: revision });
    this.foreignSecrets = reply.foreign_secrets;
    this.seen = Math.max(this.seen, revision);
    this.leaseUntil = Math.max(this.leaseUntil, claim.sent + seconds(reply.lease));
    return true;
  }

  stands(asked, { epoch, revision }) {
    if (this.epoch !== 0 && this.epoch !== epoch) return false;
    if (asked.epoch !== this.epoch || asked.alarms !== this.alarms) return false;
    if (revision < Math.max(this.seen, this.applied)) return false;
    if (this.epoch !== 0) this.seen = revision;
    return true;
  }

  keep(asked, digest, reply) {
    const before = this.entries.get(digest);
    if (before?.verdict === "REVOKED") return before;
    const verdict = reply.verdict.replace("VERDICT_", "");
    const { id: key = "", workspace_id: workspace = "" } = reply.key ?? {};
    const entry = { verdict, key, workspace, until: asked.sent + seconds(reply.cache_for) };
    if (reply.key_revoked) this.drop((other) => other.key === key);
    this.entries.set(digest, entry);
    if (this.entries.size > CAPACITY) this.entries.delete(this.entries.keys().next().value);
    return entry;
  }
}

const cache = new Cache();

async function follow() {
  let [wait, deadline, join, rest, longest] = [0, 2, 2, 0.05, 0.5];
  while (!cache.left) {
    const claim = { epoch: cache.epoch, seen: cache.seen, sent: clock() };
    const joins = cache.session === "";
    const request = { session_id: cache.session, epoch: cache.epoch, revision: cache.applied };
    Object.assign(request, joins ? { name: "node" } : { wait: duration(wait) });
    let taken = false;
    try {
      const made = (started) => (underWay = started);
      const reply = await call("Sync", request, joins ? join : deadline, made);
      if (cache.left) return;
      taken = cache.apply(claim, reply);
      if (taken) {
        const lease = seconds(reply.lease);
        wait = lease > 0 ? lease / 4 : 0.5;
        deadline = Math.max(lease / 3, wait + 0.3);
        [join, rest, longest] = [2, 0.05, 0.5];
        const news = joins || reply.reset || claim.epoch !== reply.epoch || reply.subjects.length;
        if (!news) await pause(Math.max(0, 1000 * (claim.sent + 0.05 - clock())));
      }
    } catch (error) {
      const { NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED } = grpc.status;
      if (error.code === NOT_FOUND) cache.session = "";
      if ([UNAUTHENTICATED, PERMISSION_DENIED].includes(error.code)) cache.leaseUntil = -Infinity;
      if (joins && error.code === grpc.status.DEADLINE_EXCEEDED) join = Math.min(2 * join, 8);
      longest = error.code === RESOURCE_EXHAUSTED ? 4 : 0.5;
    }
    if (!taken && !cache.left) {
      wait = 0;
      await pause(1000 * rest * (0.5 + Math.random() / 2));
      rest = Math.min(2 * rest, longest);
    }
  }
}

const running = new Map(); // by digest: the call under way, and the one that is next

async function asked(secret, digest) {
  const end = clock() + VERDICT_DEADLINE;
  for (let left; (left = end - clock()) > 0; await pause(10)) {
    const { epoch, seen, alarms } = cache;
    const question = { epoch, alarms, sent: clock() };
    const request = { secret, at_least_revision: seen, fresh: epoch === 0 };
    const reply = await call("Verify", request, left);
    if (typeof reply.verdict !== "string" || reply.verdict === "VERDICT_UNSPECIFIED") break;
    if (reply.verdict === "VERDICT_VALID" && !reply.key) break;
    if (cache.stands(question, reply)) return cache.keep(question, digest, reply).verdict;
  }
  throw new Error("no verdict");
}

// One call for each secret, and one next, for all who came while the first was under way.
function shared(secret, digest) {
  const now = running.get(digest);
  if (now === undefined) {
    const line = { next: undefined, done: undefined };
    running.set(digest, line);
    line.done = asked(secret, digest).finally(() => running.delete(digest));
    return line.done;
  }
  now.next ??= now.done.catch(() => {}).then(() => verdict(secret));
  return now.next;
}

async function verdict(secret) {
  const digest = createHash("sha256").update(secret).digest("base64");
  const hit = cache.get(digest);
  if (hit) return hit.verdict;
  if (!secret.startsWith(MINTED) && cache.leased() && !cache.foreignSecrets) return "UNKNOWN";
  return shared(secret, digest);
}

async function answer({ id, verify }) {
  const said = await verdict(verify).catch(() => "UNAVAILABLE");
  process.stdout.write(`${JSON.stringify({ id, verdict: said })}\n`);
}

follow();
for await (const line of createInterface({ input: process.stdin })) answer(JSON.parse(line));
cache.left = true;
cache.leaseUntil = -Infinity;
underWay?.cancel();
if (cache.session) await call("Leave", { session_id: cache.session }, 0.5).catch(() => {});
process.exit(0);
